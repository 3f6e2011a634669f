"""The public operation: checks its arguments, and hands them to a backend."""

from collections.abc import Callable
from typing import Literal, overload

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError, choose
from statespace.kernels import gpu, sequences
from statespace.kernels import native as core
from statespace.kernels.causal_conv1d import chunked, native, reference
from statespace.kernels.dispatch import pick
from statespace.shapes import expect

BACKENDS = ("triton", "native", "chunked", "reference")
# The precision that sums are formed in.
_PRECISION = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.bfloat16: torch.float32,
    torch.float16: torch.float32,
}


def precision(
    where: str, x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, sizes: dict[str, int], hint: str
) -> torch.dtype:
    """Check what a sequence and a single step have in common, and return the precision to compute in."""
    if x.dtype not in _PRECISION:
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in _PRECISION)
        raise InputError(f"{where}: x is {x.dtype}, but one of {known} is expected: convert it with x.float().")
    expect(where, "weight", weight, "d k", sizes, hint)
    if not sizes["k"]:
        raise ShapeError(f"{where}: weight is {tuple(weight.shape)}, but a filter has at least one tap: (d, k), k > 0.")
    if bias is not None:
        expect(where, "bias", bias, "d", sizes, hint)
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and not value.is_floating_point():
            raise InputError(f"{where}: {name} is {value.dtype}, but a real dtype is expected: use {name}.float().")
    if activation is not None:
        choose(where, "activation", activation, ("silu",))
    return _PRECISION[x.dtype]


def same_device(where: str, x: Tensor, **others: Tensor | None) -> None:
    """Refuse tensors that are not where x is."""
    for name, value in others.items():
        if value is not None and value.device != x.device:
            raise InputError(f"{where}: {name} is on {value.device} but x on {x.device}: move it with .to(x.device).")


def _triton(*arguments: Tensor | bool | None) -> tuple[Tensor, Tensor]:
    from statespace.kernels.causal_conv1d import triton  # Triton is loaded where it computes, and only there

    y, final_state = triton.causal_conv1d(*arguments)
    return y, final_state


@overload
def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = ...,
    initial_state: Tensor | None = ...,
    activation: str | None = ...,
    lengths: Tensor | None = ...,
    cu_seqlens: Tensor | None = ...,
    return_final_state: Literal[False] = ...,
    backend: str = ...,
) -> Tensor: ...


@overload
def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = ...,
    initial_state: Tensor | None = ...,
    activation: str | None = ...,
    lengths: Tensor | None = ...,
    cu_seqlens: Tensor | None = ...,
    *,
    return_final_state: Literal[True],
    backend: str = ...,
) -> tuple[Tensor, Tensor]: ...


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    initial_state: Tensor | None = None,
    activation: str | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    return_final_state: bool = False,
    backend: str = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """Convolve each channel with its own short filter that looks at the past alone, and apply SiLU if it is asked for.

    ``y[t] = act(bias + sum_j weight[j] x[t - (k - 1) + j])``, ``j = 0 ... k - 1``: the last tap meets the present step,
    as in `torch.nn.Conv1d` with padding on the left. The k - 1 inputs before the first are the initial state.

    The convolution of two pieces, with the state carried over, is that of the whole. Gradients flow to x, weight, bias
    and the initial state, and from both results. Sums are formed in float32, or in float64 for float64 inputs.

    Args:
        x: input, ``(b, l, d)``, float32, float64, bfloat16 or float16.
        weight: filter of each channel, ``(d, k)``, any k from 1 on, in output units per input unit.
        bias: added to the sum, ``(d,)``, in output units; None for none.
        initial_state: the last ``k - 1`` inputs before the first, oldest first, ``(b, k - 1, d)``, or
            ``(n, k - 1, d)`` for n packed sequences; None for zeros. It is taken in the dtype of x.
        activation: ``silu`` for ``z / (1 + exp(-z))``, None for the sum itself.
        lengths: steps in each sequence, ``(b,)``, int64 or int32, from the beginning of its row; None where all have l.
            What stands beyond, NaN included, is not looked at.
        cu_seqlens: bounds of n sequences packed into one row, ``(n + 1,)``, int64 or int32, from 0 to l; x is then
            ``(1, l, d)``. No sequence sees another.
        return_final_state: return the final state too.
        backend: ``triton`` (GPU), ``native`` (compiled, CPU), ``chunked`` (portable), ``reference`` (slow), or ``auto``
            for the first of them that can.
    Returns:
        ``y (b, l, d)``, like x, zero beyond each sequence's length; with `return_final_state` the pair of y and the
        final state, the last ``k - 1`` inputs of each sequence, shaped like the initial one.
    Raises:
        ShapeError: the shapes do not fit.
        InputError: a dtype, device, length or bound cannot be used; the activation or backend is unknown, or the
            backend not there (it says why).
    Source:
        Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, figure 3.
    """
    where = "causal_conv1d"
    sizes: dict[str, int] = {}
    expect(where, "x", x, "b l d", sizes, "The layout is (batch, length, channels).")
    hint = f"x has {sizes['d']} channels; is it (batch, channels, length) and needs x.transpose(1, 2)?"
    dtype = precision(where, x, weight, bias, activation, sizes, hint)
    sizes["s"] = sequences.check(where, "x", x, lengths, cu_seqlens)
    if initial_state is not None:
        sizes["k-1"] = sizes["k"] - 1
        expect(where, "initial_state", initial_state, "s k-1 d", sizes, "It holds the last k - 1 inputs of each.")
        if not initial_state.is_floating_point():
            raise InputError(
                f"{where}: initial_state is {initial_state.dtype}, but a real dtype is expected, as that of x: "
                "use initial_state.to(x.dtype)."
            )
    same_device(where, x, weight=weight, bias=bias, initial_state=initial_state)
    refusals = dict.fromkeys(BACKENDS) | {
        "triton": gpu.why_refused(x.device.type) if x.numel() else "there is nothing to launch a kernel for.",
        "native": core.why_refused(x.device.type),
    }
    backend = pick(where, backend, refusals)
    operators: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
        "triton": _triton,
        "native": native.causal_conv1d,
        "chunked": chunked.causal_conv1d,
        "reference": reference.causal_conv1d,
    }
    # Backends meet no lazy sign: in a compiled graph, operators would read past it.
    y, final_state = operators[backend](
        x.resolve_neg(),
        weight.to(dtype).resolve_neg(),
        None if bias is None else bias.to(dtype).resolve_neg(),
        None if initial_state is None else initial_state.to(x.dtype).resolve_neg(),
        None if lengths is None else lengths.long(),
        None if cu_seqlens is None else cu_seqlens.long(),
        activation == "silu",
    )
    return (y, final_state) if return_final_state else y
