"""One step of the short convolution, for streams: the state is rolled in place."""

import torch
import torch.nn.functional as F
from torch import Tensor

from statespace.errors import InputError
from statespace.kernels.causal_conv1d.interface import precision, same_device
from statespace.shapes import expect


def causal_conv1d_update(
    x: Tensor,
    state: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: str | None = None,
) -> Tensor:
    """Take one step of `causal_conv1d`: the window moves on by one input.

    ``y = act(bias + sum_j weight[j] window[j])``, where the window is the state and then x; afterwards the state holds
    the last k - 1 inputs of it, in the same memory. Steps one after the other give what `causal_conv1d` gives for the
    whole sequence. Gradients flow to x, weight and bias, as long as the state needs none.

    Args:
        x: input of this step, ``(b, d)``, float32, float64, bfloat16 or float16.
        state: the last ``k - 1`` inputs, oldest first, ``(b, k - 1, d)``, in the dtype of x; changed in place.
        weight: filter of each channel, ``(d, k)``, in output units per input unit.
        bias: added to the sum, ``(d,)``, in output units; None for none.
        activation: ``silu`` for ``z / (1 + exp(-z))``, None for the sum itself.
    Returns:
        ``y (b, d)``, like x.
    Raises:
        ShapeError: the shapes do not fit.
        InputError: a dtype or device cannot be used, or the activation is unknown.
    Source:
        Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, figure 3.
    """
    where = "causal_conv1d_update"
    sizes: dict[str, int] = {}
    expect(where, "x", x, "b d", sizes, "One step has the layout (batch, channels).")
    dtype = precision(where, x, weight, bias, activation, sizes, f"x has {sizes['d']} channels.")
    sizes["k-1"] = sizes["k"] - 1
    expect(where, "state", state, "b k-1 d", sizes, "It holds the last k - 1 inputs of each.")
    if state.dtype != x.dtype:
        raise InputError(f"{where}: state is {state.dtype} but x is {x.dtype}: keep the state in the dtype of x.")
    if state.requires_grad:
        raise InputError(f"{where}: state needs a gradient, but is changed in place: take causal_conv1d of one step.")
    same_device(where, x, state=state, weight=weight, bias=bias)
    window = torch.cat([state, x[:, None]], 1)  # (b, k, d)
    y = (window.to(dtype) * weight.to(dtype).T).sum(1)
    if bias is not None:
        y = y + bias.to(dtype)
    with torch.no_grad():
        state.copy_(window[:, 1:])
    return (F.silu(y) if activation else y).to(x.dtype)
