"""Kernels of Triton, interpreted on the CPU, in a process of their own: TRITON_INTERPRET=1 pytest tests/interpret."""

import importlib.util
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

GUARD = 64  # numbers before and after each buffer, a multiple of what kernels suppose of an address


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("triton") is None:
        why = "Triton is not installed: pip install 'statespace[triton]'"
    elif os.environ.get("TRITON_INTERPRET") != "1":
        why = "interpreted in a process of its own: TRITON_INTERPRET=1 python -m pytest tests/interpret"
    else:
        return
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason=why))


def fence(x: Tensor) -> Tensor:
    """The same numbers, in a contiguous buffer between two guard bands of NaN."""
    if not (x.is_floating_point() or x.is_complex()):
        return x
    room = x.new_full((x.numel() + 2 * GUARD,), math.nan)
    room[GUARD : GUARD + x.numel()] = x.flatten()
    return room[GUARD : GUARD + x.numel()].view(x.shape)


@contextmanager
def guards() -> Iterator[None]:
    """Every new buffer is full of NaN and stands between guard bands, which nobody may have touched at the end."""
    plain, rooms = torch.empty, []

    def fenced(*size: int, **options: object) -> Tensor:
        x = plain(*size, **options)
        if not (x.is_floating_point() or x.is_complex()):
            return x
        room = plain(x.numel() + 2 * GUARD, dtype=x.dtype).fill_(math.nan)
        rooms.append((room, x.numel()))
        return room[GUARD : GUARD + x.numel()].view(x.shape)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "empty", fenced)
        yield
    for room, size in rooms:
        assert room[:GUARD].isnan().all(), "a kernel wrote before a buffer"
        assert room[GUARD + size :].isnan().all(), "a kernel wrote beyond a buffer"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with numpy.errstate(all="ignore"):  # what a mask discards may overflow
        yield


@pytest.fixture(autouse=True, scope="session")
def _swift() -> Iterator[None]:
    """Let the interpreter take over Triton's language once for each function, and not at every call of one.

    It does so at the launch of a kernel too. Without this, nearly all its time would go there.
    """
    from triton.runtime.interpreter import InterpretedFunction

    plain, known = InterpretedFunction.__call__, set()

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.fn in known:
            return self.rewrite()(*args, **kwargs)
        known.add(self.fn)
        return plain(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InterpretedFunction, "__call__", call)
        yield


@pytest.fixture
def agree() -> Callable[..., None]:
    """Run an operation by Triton, with its gradients, and compare with its reference in float64.

    ``agree(run, arguments, dtype, tolerance)``: ``run(backend, **arguments)`` returns the results; arguments that are
    not floating stay as they are. Errors count relative to the largest entry of each tensor. Buffers hold NaN where
    nobody wrote, and stand between guard bands.
    """

    def compare(
        run: Callable[..., tuple[Tensor, ...]],
        arguments: dict[str, Tensor | None],
        dtype: torch.dtype = torch.float64,
        tolerance: float = 1e-12,
        of_gradients: float | None = None,
        backend: str = "triton",
    ) -> None:
        def moved(x: Tensor, to: torch.dtype) -> Tensor:
            return x.to(to.to_complex() if x.is_complex() else to if x.is_floating_point() else x.dtype)

        def every(backend: str, to: torch.dtype) -> dict[str, Tensor]:
            leaves = {name: None if x is None else fence(moved(rounded[name], to)) for name, x in arguments.items()}
            wanted = {k: x.requires_grad_() for k, x in leaves.items() if x is not None and not is_index(x)}
            results = run(backend, **leaves)
            generator = torch.Generator().manual_seed(1)
            grads_in = [
                moved(torch.randn(x.shape, generator=generator, dtype=torch.float64).to(dtype), x.real.dtype).to(
                    x.dtype
                )
                for x in results
            ]
            grads = torch.autograd.grad(
                results, list(wanted.values()), grads_in, allow_unused=True, materialize_grads=True
            )
            found = {f"result {i}": x.detach() for i, x in enumerate(results)}
            return found | {f"gradient of {name}": grad for name, grad in zip(wanted, grads, strict=True)}

        def is_index(x: Tensor) -> bool:
            return not (x.is_floating_point() or x.is_complex())

        rounded = {name: None if x is None else moved(x, dtype) for name, x in arguments.items()}
        truth = every("reference", torch.float64)
        with guards():
            got = every(backend, dtype)
        for name, expected in truth.items():
            allowed = tolerance if name.startswith("result") or of_gradients is None else of_gradients
            found = got[name].to(expected.dtype)
            assert found.shape == expected.shape, name
            error = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-300))
            assert error <= allowed, f"{name}: off by {error:.1e} of the largest entry"

    return compare
