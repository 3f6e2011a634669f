"""Recurrences to scan, and one way to run them with all gradients."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from statespace.kernels import native
from statespace.kernels.linear_scan import BACKENDS, linear_scan


@dataclass(frozen=True)
class Problem:
    """Arguments of one scan, and the gradient that comes back to its result."""

    arguments: dict[str, Tensor | None]
    sequences: dict[str, Tensor]
    grad: Tensor

    def to(self, dtype: torch.dtype) -> "Problem":
        def cast(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(dtype.to_complex() if value.is_complex() else dtype)

        return replace(
            self, arguments={name: cast(value) for name, value in self.arguments.items()}, grad=cast(self.grad)
        )

    def run(self, scan: Callable[..., Tensor]) -> dict[str, Tensor]:
        """The result and the gradient of each argument, by name."""
        leaves = {k: v.detach().clone().requires_grad_() for k, v in self.arguments.items() if v is not None}
        h = scan(**leaves, **self.sequences)
        wanted = list(leaves.values())
        grads = torch.autograd.grad(h, wanted, self.grad, allow_unused=True, materialize_grads=True)
        return {"h": h.detach()} | {f"grad {name}": grad for name, grad in zip(leaves, grads, strict=True)}


def make(
    batch: int,
    length: int,
    channels: tuple[int, ...],
    *,
    shared: str = "",
    complex_numbers: bool = False,
    initial: bool = False,
    kind: str = "",
    seed: int = 0,
) -> Problem:
    """Factors between 0 and 1 in size, of numbers that float32 holds exactly, in float64.

    `shared` names the axes, of b, l and d, along which a does not change; `kind` is "", "ragged" or "packed".
    """
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.complex64 if complex_numbers else torch.float32

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype, generator=generator)

    sizes = [1 if "b" in shared else batch, 1 if "l" in shared else length]
    a = torch.rand(*sizes, *(1 if "d" in shared else d for d in channels), generator=generator)
    if complex_numbers:
        a = torch.polar(a, 3 * torch.rand(a.shape, generator=generator))
    sequences, count = {}, batch
    if kind == "ragged":
        sequences["lengths"] = torch.randint(0, length + 1, (batch,), generator=generator)
        sequences["lengths"][:2] = torch.tensor([0, length])[:batch]
    if kind == "packed":  # empty sequences first, last and between
        cuts = torch.tensor([0, 0, length // 3, length // 3, length - 1, length, length], dtype=torch.int32)
        sequences["cu_seqlens"], count = cuts, 6
    problem = Problem(
        arguments={
            "a": a,
            "b": normal(batch, length, *channels),
            "initial_state": normal(count, *channels) if initial else None,
        },
        sequences=sequences,
        grad=normal(batch, length, *channels),
    )
    return problem.to(torch.float64)


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """The maker of problems."""
    return make


@pytest.fixture(params=[name for name in BACKENDS if name != "reference"])
def scan(request: pytest.FixtureRequest) -> Callable[..., Tensor]:
    """Each backend but the reference, as a function without the argument `backend`."""
    if request.param == "native" and (reason := native.why_missing()):
        pytest.skip(f"native: {reason}")
    return lambda *args, **kwargs: linear_scan(*args, **kwargs, backend=request.param)


@pytest.fixture
def compiled() -> None:
    """A skip with the reason where there is no compiled core."""
    if reason := native.why_missing():
        pytest.skip(f"native: {reason}")


@pytest.fixture
def agree() -> Callable[..., None]:
    """Compare what `Problem.run` returned with a float64 truth, relative to the largest entry of each tensor."""

    def compare(got: dict[str, Tensor], truth: dict[str, Tensor], tolerance: float) -> None:
        assert got.keys() == truth.keys()
        for name, expected in truth.items():
            found = got[name].to(expected.dtype)
            assert found.shape == expected.shape, name
            error = float((found - expected).abs().max()) if expected.numel() else 0.0
            scale = float(expected.abs().max()) if expected.numel() else 1.0
            assert error <= tolerance * scale, f"{name}: off by {error / max(scale, 1e-300):.1e} of the largest entry"

    return compare
