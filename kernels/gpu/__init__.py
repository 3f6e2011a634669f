"""What the Triton kernels of all operations share; nothing here imports Triton unless it is asked to compute.

Triton is an optional dependency: torch brings it along on Linux with CUDA or ROCm. Its kernels compile when they are
first called. With ``TRITON_INTERPRET=1`` in the environment they are interpreted on the CPU instead, slowly, to be
tested where there is no GPU.
"""

import importlib.util
import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, overload

import torch
from torch import Tensor

from statespace.kernels.dispatch import looked_up_once


@cache
def why_missing() -> str | None:
    """Say why no kernel can run on a GPU here and what to do, or None where one can, or the interpreter is on."""
    if importlib.util.find_spec("triton") is None:
        return "not there: Triton is not installed. Where it exists (Linux), pip install 'statespace[triton]'."
    if not interpreted() and not torch.cuda.is_available():
        return "not usable: torch finds no GPU. Install a build of torch for CUDA or ROCm on a machine that has one."
    return None


def interpreted() -> bool:
    """Return whether Triton interprets its kernels on the CPU instead of compiling them."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "yes", "on", "y")


@looked_up_once
def why_refused(device: str) -> str | None:
    """Say why the Triton kernels cannot compute on a device, or None where they can."""
    if missing := why_missing():
        return f"it is {missing}"
    if device != "cuda" and not (device == "cpu" and interpreted()):
        return f"it computes on a GPU, and the tensors are on {device}."
    return None


def lanes() -> int:
    """Return how many threads run in step on this GPU: 32, or 64 on AMD's."""
    return 64 if torch.version.hip else 32


def options(registers: int | None = None, warps: int = 1, stages: int | None = None) -> dict[str, Any]:
    """Return how a kernel is compiled.

    Args:
        registers: bound on those of a thread, where the compiler can be told.
        warps: in one program.
        stages: of a loop with matrix products, whose loads may run ahead; None leaves that to Triton.
    Returns:
        the options of its launch.
    """
    found: dict[str, Any] = {"num_warps": warps, "enable_fp_fusion": True}
    if registers and not torch.version.hip and not interpreted():
        found["maxnreg"] = registers
    return found if stages is None else found | {"num_stages": stages}


def on(tensor: Tensor) -> AbstractContextManager[object]:
    """Make the tensor's GPU the one that kernels are launched on."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def lay(x: Tensor) -> Tensor:
    """Lay the rows of ``(b, l, d)`` one after the other, ``(b l, d)``, copied only where strides do not do.

    Kernels take the distance of rows from the tensor, and find channels side by side.
    """
    x = x.resolve_neg().flatten(0, 1)
    return x if x.stride(1) == 1 or x.shape[1] == 1 else x.contiguous()


@overload
def numbers(x: Tensor) -> Tensor: ...


@overload
def numbers(x: None) -> None: ...


def numbers(x: Tensor | None) -> Tensor | None:
    """A tensor as real numbers, complex ones as pairs of neighbours; kernels know no others."""
    return torch.view_as_real(x.resolve_conj()) if x is not None and x.is_complex() else x
