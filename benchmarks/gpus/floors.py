"""What bounds the selective scan on a GPU: how many exponentials it takes in a second, and how many bytes it moves."""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from measuring import interleaved

from statespace.kernels import gpu


@triton.jit
def _exponentials(x, y, ROUNDS: tl.constexpr, SIZE: tl.constexpr):
    at = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    value = tl.load(x + at)
    for _ in range(ROUNDS):
        value = tl.exp2(value)
    tl.store(y + at, value)


@dataclass(frozen=True)
class Limits:
    """Measured on the device, in the run that they are used in."""

    exponentials: float  # in a second
    bytes: float  # moved in a second, read or written

    @classmethod
    def measure(cls, device: str) -> "Limits":
        """Probe the device: exponentials of what stays in registers, and a copy of what does not fit into the cache."""
        small = gpu.interpreted()
        rounds, size, programs = (2, 64, 1) if small else (4096, 512, 4096)
        x, y = torch.zeros(2, programs * size, device=device)
        source, target = torch.zeros(2, 1 << (10 if small else 28), device=device)

        def exponentials() -> None:
            _exponentials[(programs,)](x, y, ROUNDS=rounds, SIZE=size, num_warps=4)
            synchronize(device)

        def copy() -> None:
            target.copy_(source)
            synchronize(device)

        of_exponentials, of_copy = interleaved([exponentials, copy], 20, 2.0).medians
        return cls(rounds * size * programs / of_exponentials, 2 * source.numel() * source.element_size() / of_copy)

    def floors(self, shape: tuple[int, int, int, int], itemsize: int, train: bool) -> dict[str, float]:
        """Least times in s: the exponentials of each pass, and the rows that it reads and writes.

        Forward, these are u, dt and z, and y; backward, u, dt, z and the gradient of y, and three gradients.
        """
        b, length, d, n = shape
        exponentials, rows = (2, 11) if train else (1, 4)
        return {
            "exponentials": exponentials * b * length * d * n / self.exponentials,
            "bandwidth": rows * b * length * d * itemsize / self.bytes,
        }


def synchronize(device: str) -> None:
    """Wait until the device has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()
