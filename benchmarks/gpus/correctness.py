"""How far the Triton kernels are from their references in float64, on the device that they run on."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from statespace.kernels.causal_conv1d import causal_conv1d
from statespace.kernels.linear_scan import linear_scan
from statespace.kernels.lti_scan import lti_scan
from statespace.kernels.selective_scan import METHODS, selective_scan

Case = tuple[Callable[..., object], Callable[[int, int, int, int], dict[str, Tensor]]]


def _selective(b: int, length: int, d: int, n: int) -> dict[str, Tensor]:
    return {
        "u": torch.randn(b, length, d),
        "dt": torch.randn(b, length, d) - 3,
        "A": -torch.rand(d, n) * n,
        "B": torch.randn(b, length, n),
        "C": torch.randn(b, length, n),
        "D": torch.randn(d),
        "z": torch.randn(b, length, d),
        "dt_bias": torch.randn(d) / 2,
        "initial_state": torch.randn(b, d, n),
    }


def _invariant(b: int, length: int, d: int, n: int) -> dict[str, Tensor]:
    step = torch.exp(torch.empty(d, 1).uniform_(-6.9, -2.3))
    return {
        "u": torch.randn(b, length, d),
        "log_a": step * torch.complex(torch.full((n,), -0.5), 3.14 * torch.arange(n)),
        "b": step * torch.randn(d, n, dtype=torch.complex64),
        "c": torch.randn(d, n, dtype=torch.complex64),
        "D": torch.randn(d),
        "initial_state": torch.randn(b, d, n, dtype=torch.complex64),
    }


def _linear(b: int, length: int, d: int, _: int) -> dict[str, Tensor]:
    return {"a": torch.rand(b, length, d), "b": torch.randn(b, length, d), "initial_state": torch.randn(b, d)}


def _convolution(b: int, length: int, d: int, _: int) -> dict[str, Tensor]:
    return {"x": torch.randn(b, length, d), "weight": torch.randn(d, 4), "bias": torch.randn(d)}


CASES: dict[str, Case] = {
    **{
        f"selective_scan, {method}": (
            partial(selective_scan, dt_softplus=True, method=method, return_final_state=True),
            _selective,
        )
        for method in METHODS
    },
    "lti_scan": (lti_scan, _invariant),
    "linear_scan": (linear_scan, _linear),
    "causal_conv1d": (partial(causal_conv1d, activation="silu"), _convolution),
}
HELD = ("A", "D", "dt_bias", "initial_state", "weight", "bias")  # in float32 at least, whatever the rows are


def _precise(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.to(dtype.to_complex() if value.is_complex() else dtype)


def compare(case: Case, dtype: torch.dtype, device: str, tiny: bool) -> dict[str, float | None]:
    """Largest errors of results and of gradients, relative to the largest entry; None where a dtype is not taken."""
    operation, make = case
    if dtype == torch.bfloat16 and operation is lti_scan:
        return {"results": None, "gradients": None}
    torch.manual_seed(0)
    given = make(1, 5, 3, 2) if tiny else make(2, 1024, 96, 16)
    given = {k: v if k in HELD else v.to(dtype) if not v.is_complex() else v for k, v in given.items()}

    def run(backend: str, to: torch.dtype | None) -> tuple[list[Tensor], list[Tensor]]:
        leaves = {k: (v if to is None else _precise(v, to)).to(device).requires_grad_() for k, v in given.items()}
        found = operation(**leaves, backend=backend)
        results = list(found) if isinstance(found, tuple) else [found]
        generator = torch.Generator().manual_seed(1)
        grads = [torch.randn(x.shape, generator=generator).to(device, dtype).to(x.dtype) for x in results]
        return results, list(torch.autograd.grad(results, list(leaves.values()), grads))

    truth, got = run("reference", torch.float64), run("triton", None)

    def error(values: list[Tensor], exact: list[Tensor]) -> float:
        pairs = zip(values, exact, strict=True)
        return max(float(((a.to(b.dtype) - b).abs().max() / b.abs().max()).detach()) for a, b in pairs)

    return {"results": error(got[0], truth[0]), "gradients": error(got[1], truth[1])}
