"""Systems to scan, and one way to run them with all gradients."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from statespace.kernels import native
from statespace.kernels.selective_scan import BACKENDS, selective_scan


@dataclass(frozen=True)
class Problem:
    """Arguments of one scan, and the gradients that come back to its results (None: no gradient)."""

    arguments: dict[str, Tensor]
    options: dict[str, Any] = field(default_factory=dict)
    grad_y: Tensor | None = None
    grad_final: Tensor | None = None

    def to(self, dtype: torch.dtype) -> "Problem":
        def cast(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(dtype.to_complex() if value.is_complex() else dtype)

        arguments = {name: cast(value) for name, value in self.arguments.items()}
        return replace(self, arguments=arguments, grad_y=cast(self.grad_y), grad_final=cast(self.grad_final))

    def run(self, scan: Callable[..., Any]) -> dict[str, Tensor]:
        """The results and the gradient of each argument, by name."""
        leaves = {name: value.detach().clone().requires_grad_() for name, value in self.arguments.items()}
        y, final = scan(**leaves, **self.options, return_final_state=True)
        pairs = [
            (out, g) for out, g in ((y, self.grad_y), (final, self.grad_final)) if g is not None and out.requires_grad
        ]
        outputs, incoming = [out for out, _ in pairs], [grad for _, grad in pairs]
        grads = torch.autograd.grad(outputs, list(leaves.values()), incoming, allow_unused=True)
        found = {
            f"grad {name}": torch.zeros_like(leaf) if grad is None else grad
            for (name, leaf), grad in zip(leaves.items(), grads, strict=True)
        }
        return {"y": y.detach(), "final_state": final.detach(), **found}


def make(
    batch: int,
    length: int,
    channels: int,
    states: int,
    *,
    method: str = "euler-b",
    is_complex: bool = False,
    groups: int | None = None,
    fixed: str = "",
    full: bool = True,
    ends: list[int] | None = None,
    through: str = "y and final",
    seed: int = 0,
) -> Problem:
    """Decaying systems with steps between 1e-3 and 1e-1, in float64, of numbers that float32 holds exactly.

    `fixed` names those of B and C that do not change along the sequence; `full` brings D, z, dt_bias with softplus, and
    an initial state; `ends` packs sequences.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, number: bool = False) -> Tensor:
        dtype = torch.complex64 if number and is_complex else torch.float32
        return torch.randn(*shape, dtype=dtype, generator=generator)

    def vector(name: str) -> Tensor:
        if name in fixed:
            return normal(channels, states, number=True)
        return normal(batch, length, *(() if groups is None else (groups,)), states, number=True)

    step = torch.exp(math.log(1e-3) + math.log(100) * torch.rand(batch, length, channels, generator=generator))
    A = -0.5 - 8 * torch.rand(channels, states, generator=generator)
    arguments = {
        "u": normal(batch, length, channels),
        "dt": torch.log(torch.expm1(step)) if full else step,
        "A": torch.complex(A, math.pi * torch.arange(states).expand_as(A)) if is_complex else A,
        "B": vector("B"),
        "C": vector("C"),
    }
    rows = batch if ends is None else len(ends) - 1
    if full:
        arguments |= {
            "D": normal(channels),
            "z": normal(batch, length, channels),
            "dt_bias": normal(channels) / 8,
            "initial_state": normal(rows, channels, states, number=True),
        }
    options: dict[str, Any] = {"method": method, "dt_softplus": full}
    if ends is not None:
        options["cu_seqlens"] = torch.tensor(ends)
    problem = Problem(
        arguments,
        options,
        normal(batch, length, channels) if "y" in through else None,
        normal(rows, channels, states, number=True) if "final" in through else None,
    )
    return problem.to(torch.float64)


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """The maker of problems."""
    return make


# tests/interpret has the backend for GPUs
@pytest.fixture(params=[name for name in BACKENDS if name not in ("reference", "triton")])
def scan(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Each backend but the reference, as a function without the argument `backend`."""
    if request.param == "native" and (reason := native.why_missing()):
        pytest.skip(f"native: {reason}")
    return lambda *args, **kwargs: selective_scan(*args, **kwargs, backend=request.param)


@pytest.fixture
def compiled() -> None:
    """A skip with the reason where there is no compiled core."""
    if reason := native.why_missing():
        pytest.skip(f"native: {reason}")


@pytest.fixture
def agree() -> Callable[..., None]:
    """Compare what `Problem.run` returned with a float64 truth, relative to the largest entry of each tensor."""

    def compare(
        got: dict[str, Tensor], truth: dict[str, Tensor], tolerance: float, of_gradients: float | None = None
    ) -> None:
        assert got.keys() == truth.keys()
        for name, expected in truth.items():
            allowed = of_gradients if of_gradients and name.startswith("grad") else tolerance
            found = got[name].to(expected.dtype)
            assert found.shape == expected.shape, name
            assert torch.isfinite(torch.view_as_real(found) if found.is_complex() else found).all(), name
            scale = float(expected.abs().max()) if expected.numel() else 1.0
            error = float((found - expected).abs().max()) if expected.numel() else 0.0
            assert error <= allowed * scale, f"{name}: off by {error / max(scale, 1e-300):.1e} of the largest entry"

    return compare
