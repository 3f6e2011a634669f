"""Systems to scan, and one way to run them with all gradients."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from statespace.kernels.ssd import ssd


@dataclass(frozen=True)
class Problem:
    """Arguments of one scan, what is not differentiated, and the gradients that come back to its results."""

    arguments: dict[str, Tensor | None]
    options: dict[str, object]
    grad_y: Tensor | None
    grad_final: Tensor | None

    def to(self, dtype: torch.dtype) -> "Problem":
        cast = {name: None if value is None else value.to(dtype) for name, value in self.arguments.items()}
        grads = {
            name: None if value is None else value.to(dtype) for name, value in vars(self).items() if "grad" in name
        }
        return replace(self, arguments=cast, **grads)

    def run(self, scan: Callable[..., tuple[Tensor, Tensor]] = ssd, **options: object) -> dict[str, Tensor]:
        """The results and the gradient of each argument, by name."""
        leaves = {k: None if v is None else v.detach().clone().requires_grad_() for k, v in self.arguments.items()}
        y, final = scan(**leaves, **(self.options | {"return_final_state": True} | options))
        wanted = {name: leaf for name, leaf in leaves.items() if leaf is not None}
        pairs = [(out, grad) for out, grad in ((y, self.grad_y), (final, self.grad_final)) if grad is not None]
        outputs, grads_in = zip(*pairs, strict=True)
        grads = torch.autograd.grad(outputs, list(wanted.values()), grads_in, allow_unused=True)
        found = {
            f"grad {k}": torch.zeros_like(wanted[k]) if g is None else g for k, g in zip(wanted, grads, strict=True)
        }
        return {"y": y.detach(), "final_state": final.detach(), **found}


def make(
    batch: int,
    length: int,
    heads: int,
    width: int,
    groups: int,
    states: int,
    *,
    full: bool = True,
    through: str = "y and final",
    seed: int = 0,
    **options: object,
) -> Problem:
    """Mamba-2's usual systems in float64, of numbers that float32 holds: A in -16 ... -1, steps of 1e-3 to 1e-1."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).double()

    bounds = options.get("cu_seqlens")
    sequences = len(bounds) - 1 if isinstance(bounds, Tensor) else batch
    arguments = {
        "x": normal(batch, length, heads, width),
        "dt": normal(batch, length, heads),
        "A": -(1 + 15 * torch.rand(heads, generator=generator)).double(),
        "B": normal(batch, length, groups, states),
        "C": normal(batch, length, groups, states),
        "D": normal(heads) if full else None,
        "z": normal(batch, length, heads, width) if full else None,
        "dt_bias": (-3 + normal(heads)).float().double(),
        "initial_state": normal(sequences, heads, width, states) if full else None,
    }
    return Problem(
        arguments,
        {"dt_softplus": True} | options,
        normal(batch, length, heads, width) if "y" in through else None,
        normal(sequences, heads, width, states) if "final" in through else None,
    )


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """The maker of problems."""
    return make


@pytest.fixture
def agree() -> Callable[..., None]:
    """Compare what `Problem.run` returned with a float64 truth, relative to the largest entry of each tensor."""

    def compare(got: dict[str, Tensor], truth: dict[str, Tensor], tolerance: float) -> None:
        assert got.keys() == truth.keys()
        for name, expected in truth.items():
            found = got[name].to(expected.dtype)
            assert found.shape == expected.shape, name
            assert found.isfinite().all(), name
            if expected.numel():
                error = float((found - expected).abs().max())
                scale = float(expected.abs().max())
                assert error <= tolerance * scale, (
                    f"{name}: off by {error / max(scale, 1e-300):.1e} of the largest entry"
                )

    return compare
