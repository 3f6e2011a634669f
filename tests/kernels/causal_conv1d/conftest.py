"""Convolutions to compute, and one way to run them with all gradients."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from statespace.kernels import native
from statespace.kernels.causal_conv1d import BACKENDS, causal_conv1d


@dataclass(frozen=True)
class Problem:
    """Arguments of one convolution, and the gradients that come back to its results (None: no gradient)."""

    tensors: dict[str, Tensor | None]
    options: dict[str, object]
    grad_y: Tensor | None
    grad_final: Tensor | None

    def to(self, dtype: torch.dtype) -> "Problem":
        def cast(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(dtype)

        tensors = {name: cast(value) for name, value in self.tensors.items()}
        return replace(self, tensors=tensors, grad_y=cast(self.grad_y), grad_final=cast(self.grad_final))

    def run(self, convolve: Callable[..., tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """The results and the gradient of each tensor, by name."""
        leaves = {k: None if v is None else v.detach().clone().requires_grad_() for k, v in self.tensors.items()}
        y, final = convolve(**leaves, **self.options, return_final_state=True)
        wanted = {name: leaf for name, leaf in leaves.items() if leaf is not None}
        pairs = [(out, g) for out, g in ((y, self.grad_y), (final, self.grad_final)) if g is not None]
        outputs, grads_in = zip(*pairs, strict=True)
        grads = torch.autograd.grad(outputs, list(wanted.values()), grads_in, allow_unused=True)
        zero = {name: torch.zeros_like(leaf) for name, leaf in wanted.items()}
        found = {f"grad {k}": zero[k] if g is None else g for k, g in zip(wanted, grads, strict=True)}
        return {"y": y.detach(), "final_state": final.detach(), **found}


def make(
    batch: int,
    length: int,
    channels: int,
    width: int,
    *,
    bias: bool = True,
    initial: bool = False,
    ragged: bool = False,
    packed: int = 0,
    activation: str | None = "silu",
    through: str = "y",
    seed: int = 0,
) -> Problem:
    """A convolution in float64, of numbers that bfloat16 holds exactly; `packed` is a number of sequences."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(torch.bfloat16).double()

    options: dict[str, object] = {"activation": activation}
    sequences = packed or batch
    if packed:
        inside = torch.randint(0, length + 1, (packed - 1,), generator=generator).sort().values
        options["cu_seqlens"] = torch.cat([torch.tensor([0]), inside, torch.tensor([length])])
    if ragged:
        lengths = torch.randint(0, length + 1, (batch,), generator=generator)
        lengths[0], lengths[-1] = 0, length
        options["lengths"] = lengths
    return Problem(
        tensors={
            "x": normal(1 if packed else batch, length, channels),
            "weight": normal(channels, width),
            "bias": normal(channels) if bias else None,
            "initial_state": normal(sequences, width - 1, channels) if initial else None,
        },
        options=options,
        grad_y=normal(1 if packed else batch, length, channels) if "y" in through else None,
        grad_final=normal(sequences, width - 1, channels) if "final" in through else None,
    )


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """The maker of problems."""
    return make


@pytest.fixture(params=[name for name in BACKENDS if name != "reference"])
def convolve(request: pytest.FixtureRequest) -> Callable[..., tuple[Tensor, Tensor]]:
    """Each backend but the reference, as a function without the argument `backend`."""
    if request.param == "native" and (reason := native.why_missing()):
        pytest.skip(f"native: {reason}")
    return lambda *args, **kwargs: causal_conv1d(*args, **kwargs, backend=request.param)


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
            assert torch.isfinite(found).all(), name
            scale = max(1e-300, float(expected.abs().max())) if expected.numel() else 1.0
            error = float((found - expected).abs().max()) if expected.numel() else 0.0
            assert error <= tolerance * scale, f"{name}: off by {error / scale:.1e} of the largest entry"

    return compare
