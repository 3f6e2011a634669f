"""Ways to compute Mamba's selective scan with skip and gate, over (batch, length, channels)."""

import importlib.util
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from statespace.kernels.selective_scan import selective_scan

Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def ours(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, bias: Tensor) -> Tensor:
    """This library, by Triton."""
    y = selective_scan(u, dt, A, B, C, D, z, bias, dt_softplus=True, backend="triton")
    assert isinstance(y, Tensor)
    return y


def plain(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, bias: Tensor) -> Tensor:
    """A parallel scan by doubling, as one writes it in torch: log2 L passes over all states."""
    delta = F.softplus(dt.float() + bias)
    a = torch.exp(delta[..., None] * A)  # (b, l, d, n)
    h = (delta * u.float())[..., None] * B.float()[:, :, None]
    reach = 1
    while reach < u.shape[1]:
        h = torch.cat([h[:, :reach], h[:, reach:] + a[:, reach:] * h[:, :-reach]], 1)
        a = torch.cat([a[:, :reach], a[:, reach:] * a[:, :-reach]], 1)
        reach *= 2
    y = (h * C.float()[:, :, None]).sum(-1) + D * u.float()
    return (y * F.silu(z.float())).to(u.dtype)


def mamba_ssm() -> Scan | str:
    """The CUDA kernel of mamba-ssm, or why it is not there."""
    if importlib.util.find_spec("mamba_ssm") is None:
        return "mamba-ssm is not installed"
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except (ImportError, OSError) as error:
        return f"mamba-ssm cannot be loaded: {error}"

    def scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, bias: Tensor) -> Tensor:
        u, dt, B, C, z = (x.transpose(1, 2) for x in (u, dt, B, C, z))  # its layout is (batch, channels, length)
        y: Tensor = selective_scan_fn(u, dt, A, B, C, D, z, bias, delta_softplus=True)
        return y.transpose(1, 2)

    return scan


def ways(interpreted: bool) -> tuple[dict[str, Scan], list[str]]:
    """The scans to compare, by name, and a sentence about each one that is missing."""
    found: dict[str, Scan] = {"ours": ours, "torch, compiled": plain if interpreted else torch.compile(plain)}
    other = mamba_ssm()
    if isinstance(other, str):
        return found, [other]
    return found | {"mamba-ssm": other}, []


def make(shape: tuple[int, int, int, int], dtype: torch.dtype, device: str, seed: int = 0) -> list[Tensor]:
    """Arguments as Mamba has them: A from 1 to n, steps around 1e-2."""
    b, length, d, n = shape
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator).to(device, dtype)

    A = -torch.arange(1.0, n + 1, device=device).expand(d, n).contiguous()
    bias = torch.full((d,), -4.6, device=device)  # softplus makes 1e-2 of it
    held = torch.ones(d, device=device)
    return [
        normal(b, length, d), normal(b, length, d) / 2, A, normal(b, length, n), normal(b, length, n), held,
        normal(b, length, d), bias,
    ]  # fmt: skip
