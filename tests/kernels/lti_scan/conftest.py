"""Systems to scan, and one way to run them with all gradients."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from statespace.kernels import native
from statespace.kernels.lti_scan import BACKENDS, lti_scan


@dataclass(frozen=True)
class Problem:
    """Arguments of one scan, and the gradients that come back to its results (None: no gradient)."""

    arguments: dict[str, Tensor | None]
    lengths: Tensor | None
    grad_y: Tensor | None
    grad_final: Tensor | None

    def to(self, dtype: torch.dtype) -> "Problem":
        def cast(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(dtype.to_complex() if value.is_complex() else dtype)

        arguments = {name: cast(value) for name, value in self.arguments.items()}
        return replace(self, arguments=arguments, grad_y=cast(self.grad_y), grad_final=cast(self.grad_final))

    def run(self, scan: Callable[..., tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """The results and the gradient of each argument, by name."""
        leaves = {k: None if v is None else v.detach().clone().requires_grad_() for k, v in self.arguments.items()}
        y, final = scan(**leaves, lengths=self.lengths)
        wanted = {name: leaf for name, leaf in leaves.items() if leaf is not None}
        pairs = [(out, grad) for out, grad in ((y, self.grad_y), (final, self.grad_final)) if grad is not None]
        outputs, grads_in = zip(*pairs, strict=True)
        grads = torch.autograd.grad(outputs, list(wanted.values()), grads_in, allow_unused=True)
        zero = {name: torch.zeros_like(leaf) for name, leaf in wanted.items()}
        found = {f"grad {k}": zero[k] if g is None else g for k, g in zip(wanted, grads, strict=True)}
        return {"y": y.detach(), "final_state": final.detach(), **found}


def make(
    batch: int,
    length: int,
    channels: int,
    states: int,
    *,
    D: bool = True,
    initial: bool = False,
    ragged: bool = False,
    through: str = "y",
    seed: int = 0,
) -> Problem:
    """S4D-Lin systems with steps between 1e-3 and 1e-1, in float64, of numbers that float32 holds exactly."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, dtype: torch.dtype = torch.complex64) -> Tensor:
        return torch.randn(*shape, dtype=dtype, generator=generator)

    step = torch.exp(math.log(1e-3) + math.log(100) * torch.rand(channels, 1, generator=generator))
    lengths = torch.randint(0, length + 1, (batch,), generator=generator) if ragged else None
    if lengths is not None and batch > 1:
        lengths[0], lengths[-1] = 0, length
    problem = Problem(
        arguments={
            "u": normal(batch, length, channels, dtype=torch.float32),
            "log_a": (step * torch.complex(torch.tensor(-0.5), math.pi * torch.arange(states))).to(torch.complex64),
            "b": step * normal(channels, states),
            "c": normal(channels, states),
            "D": normal(channels, dtype=torch.float32) if D else None,
            "initial_state": normal(batch, channels, states) if initial else None,
        },
        lengths=lengths,
        grad_y=normal(batch, length, channels, dtype=torch.float32) if "y" in through else None,
        grad_final=normal(batch, channels, states) if "final" in through else None,
    )
    return problem.to(torch.float64)


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """The maker of problems."""
    return make


@pytest.fixture(
    params=[name for name in BACKENDS if name not in ("reference", "triton")]
)  # tests/interpret has the last
def scan(request: pytest.FixtureRequest) -> Callable[..., tuple[Tensor, Tensor]]:
    """Each backend but the reference, as a function without the argument `backend`."""
    if request.param == "native" and (reason := native.why_missing()):
        pytest.skip(f"native: {reason}")
    return lambda *args, **kwargs: lti_scan(*args, **kwargs, backend=request.param)


@pytest.fixture
def compiled() -> None:
    """A skip with the reason where there is no compiled core."""
    if reason := native.why_missing():
        pytest.skip(f"native: {reason}")


@pytest.fixture
def agree() -> Callable[..., None]:
    """Compare what `Problem.run` returned with a float64 truth, relative to the largest entry of each tensor."""

    def compare(
        got: dict[str, Tensor], truth: dict[str, Tensor], tolerance: float, of_states: float | None = None
    ) -> None:
        assert got.keys() == truth.keys()
        for name, expected in truth.items():
            allowed = tolerance if of_states is None or name in ("y", "grad u") else of_states
            found = got[name].to(expected.dtype)
            scale = expected.abs().max() if expected.numel() else 1.0
            assert found.shape == expected.shape, name
            assert torch.isfinite(torch.view_as_real(found) if found.is_complex() else found).all(), name
            error = float((found - expected).abs().max()) if expected.numel() else 0.0
            assert error <= allowed * scale, (
                f"{name}: off by {error / max(float(scale), 1e-300):.1e} of the largest entry"
            )

    return compare
