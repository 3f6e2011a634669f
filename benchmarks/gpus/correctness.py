"""How far the Triton kernels are from their references in float64, on the device that they run on."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from statespace.kernels.cauchy import cauchy
from statespace.kernels.causal_conv1d import causal_conv1d
from statespace.kernels.linear_scan import linear_scan
from statespace.kernels.lti_scan import lti_scan
from statespace.kernels.selective_scan import METHODS, selective_scan
from statespace.kernels.selective_state_update import selective_state_update
from statespace.kernels.ssd import ssd

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


def _complex(b: int, length: int, d: int, n: int) -> dict[str, Tensor]:
    found = _selective(b, length, d, n)
    found["A"] = torch.complex(found["A"], 3.14 * torch.arange(n).expand(d, n))
    for name in ("B", "C", "initial_state"):
        found[name] = torch.complex(found[name], torch.randn(found[name].shape))
    return found


def _dual(b: int, length: int, d: int, n: int) -> dict[str, Tensor]:
    width = min(d, 64)
    heads = d // width
    return {
        "x": torch.randn(b, length, heads, width),
        "dt": torch.randn(b, length, heads) - 3,
        "A": -1 - 15 * torch.rand(heads),
        "B": torch.randn(b, length, 1, n),
        "C": torch.randn(b, length, 1, n),
        "D": torch.randn(heads),
        "z": torch.randn(b, length, heads, width),
        "initial_state": torch.randn(b, heads, width, n),
    }


def _steps(b: int, length: int, d: int, n: int) -> dict[str, Tensor]:
    return {name: x for name, x in _selective(b, min(length, 32), d, n).items() if name != "initial_state"}


def _one_by_one(backend: str, **given: Tensor) -> tuple[Tensor, Tensor]:
    """Steps in place, as a stream takes them."""
    over_time = ("u", "dt", "B", "C", "z")
    held = {name: value.detach() for name, value in given.items() if name not in over_time}
    rows = {name: given[name].detach() for name in over_time}
    state = torch.zeros(rows["u"].shape[0], *held["A"].shape, dtype=held["A"].dtype, device=held["A"].device)
    outputs = []
    for t in range(rows["u"].shape[1]):
        at = {name: value[:, t] for name, value in rows.items()}
        x = at.pop("u")
        outputs.append(selective_state_update(state, x, **at, **held, dt_softplus=True, backend=backend))
    return torch.stack(outputs, 1), state


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


def _fractions(r: int, length: int, d: int, n: int) -> dict[str, Tensor]:
    poles = torch.complex(-0.1 - torch.rand(d, n), 3.14 * torch.arange(n).expand(d, n))
    points = torch.complex(torch.zeros(length), torch.linspace(0, 3.14 * n, length))
    return {"v": torch.randn(r, d, n, dtype=torch.complex64), "z": points, "w": poles}


CASES: dict[str, Case] = {
    **{
        f"selective_scan, {method}": (
            partial(selective_scan, dt_softplus=True, method=method, return_final_state=True),
            _selective,
        )
        for method in METHODS
    },
    "selective_scan, complex": (
        partial(selective_scan, dt_softplus=True, method="zoh", return_final_state=True),
        _complex,
    ),
    "ssd": (partial(ssd, dt_softplus=True, return_final_state=True), _dual),
    "selective_state_update": (_one_by_one, _steps),
    "lti_scan": (lti_scan, _invariant),
    "cauchy": (partial(cauchy, conjugate=True), _fractions),
    "linear_scan": (linear_scan, _linear),
    "causal_conv1d": (partial(causal_conv1d, activation="silu"), _convolution),
}
FORWARD_ONLY = ("selective_state_update",)
SINGLE = ("lti_scan", "cauchy")  # not in 16 bits
HELD = ("A", "D", "dt_bias", "initial_state", "weight", "bias")  # in float32 at least, whatever the rows are


def _precise(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.to(dtype.to_complex() if value.is_complex() else dtype)


def make(name: str, sizes: tuple[int, int, int, int], dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    """The arguments of a case, rows in a dtype, on a device."""
    torch.manual_seed(0)
    given = CASES[name][1](*sizes)
    held = (*HELD, "dt") if name == "ssd" else HELD
    return {k: (v if k in held or v.is_complex() else v.to(dtype)).to(device) for k, v in given.items()}


def compare(name: str, dtype: torch.dtype, device: str, tiny: bool) -> dict[str, float | None]:
    """Largest errors of results and of gradients, relative to the largest entry; None where there is nothing to say."""
    operation = CASES[name][0]
    if dtype == torch.bfloat16 and name in SINGLE:
        return {"results": None, "gradients": None}
    given = make(name, (1, 5, 4, 2) if tiny else (2, 1024, 128, 16), dtype, device)

    def run(backend: str, to: torch.dtype | None) -> tuple[list[Tensor], list[Tensor]]:
        leaves = {k: (v if to is None else _precise(v, to)).requires_grad_() for k, v in given.items()}
        found = operation(**leaves, backend=backend)
        results = list(found) if isinstance(found, tuple) else [found]
        if name in FORWARD_ONLY:
            return results, []
        generator = torch.Generator().manual_seed(1)
        grads = [torch.randn(x.shape, generator=generator).to(device, dtype).to(x.dtype) for x in results]
        return results, list(torch.autograd.grad(results, list(leaves.values()), grads))

    truth, got = run("reference", torch.float64), run("triton", None)

    def error(values: list[Tensor], exact: list[Tensor]) -> float | None:
        pairs = zip(values, exact, strict=True)
        found = [float(((a.to(b.dtype) - b).abs().max() / b.abs().max()).detach()) for a, b in pairs]
        return max(found) if found else None

    return {"results": error(got[0], truth[0]), "gradients": error(got[1], truth[1])}
