"""Whole sequences through a program, in parallel over time, by operators that exist everywhere and in real arithmetic.

``h_t = a_t h_{t-1} + v_t`` is a chain of maps, and the composition of maps is associative: after j doublings, each
entry holds what the last 2^j samples make of the state, and joins what the 2^j before them made,

    v_t <- v_t + a_t v_{t - 2^j},    a_t <- a_t a_{t - 2^j}.

That takes ``log2 l`` rounds over all samples. Nothing overflows, since no a is divided by. It is what is exported;
here, `selective_scan` and `lti_scan` are faster.

Source: Hillis and Steele, "Data parallel algorithms", Communications of the ACM 29(12), 1986, 1170-1183.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from statespace.kernels.stack_step.instructions import Convolution, Diagonal, Heads, Program, Selective, turned
from statespace.kernels.stack_step.reference import Read, headed, observed, output, run, selected, spoken


def _doublings(length: int) -> Iterator[int]:
    return (2**j for j in range((length - 1).bit_length()))


def _later(x: Tensor, steps: int) -> Tensor:
    """Entries of ``(b, l, ...)`` so many steps later, zeros in front."""
    return F.pad(x[:, :-steps], (0, 0) * (x.ndim - 2) + (steps, 0))


def _convolution(of: Convolution, read: Read, state: Tensor) -> tuple[Tensor, Tensor]:
    x = read(of.x)
    past, length = state.shape[1], x.shape[1]
    window = torch.cat([state, x], 1)  # (b, k - 1 + l, d)
    y = of.bias + sum(window[:, j : j + length] * of.weight[:, j] for j in range(past + 1))
    return (F.silu(y) if of.silu else y), window[:, length:]


def _selective(of: Selective, read: Read, state: Tensor) -> tuple[Tensor, Tensor]:
    decay, drive = selected(of, read)  # (b, l, d, n)
    h = torch.cat([(drive[:, :1] + decay[:, :1] * state[:, None]), drive[:, 1:]], 1)
    for steps in _doublings(h.shape[1]):
        h = torch.addcmul(h, decay, _later(h, steps))
        decay = decay * _later(decay, steps)
    return observed(of, read, h, drive), h[:, -1]


def _heads(of: Heads, read: Read, state: Tensor) -> tuple[Tensor, Tensor]:
    exponent, drive = headed(of, read)  # (b, l, h, 1, 1) and (b, l, h, p, n)
    decay = torch.exp(exponent)
    h = torch.cat([(drive[:, :1] + decay[:, :1] * state[:, None]), drive[:, 1:]], 1)
    for steps in _doublings(h.shape[1]):
        h = torch.addcmul(h, decay, _later(h, steps))
        decay = decay * _later(decay, steps)
    return spoken(of, read, h), h[:, -1]


def _diagonal(of: Diagonal, read: Read, state: Tensor) -> tuple[Tensor, Tensor]:
    x = read(of.x)
    h = of.drive * x[..., None, None]  # (b, l, d, n, 2)

    def grown(power: Tensor, h: Tensor) -> Tensor:
        first, second = (factor.to(h.dtype) for factor in turned(power))
        return first * h + second * h.flip(-1)

    h = torch.cat([h[:, :1] + grown(of.exact, state)[:, None], h[:, 1:]], 1)
    power = of.exact  # a to the power of `steps`
    for steps in _doublings(h.shape[1]):
        h = h + grown(power, _later(h, steps))
        re, im = power.unbind(-1)
        power = torch.stack([re * re - im * im, 2 * re * im], -1)
    return output(of, h, x), h[:, -1]


def scan(program: Program, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Run a program over whole sequences; what `reference.step` does sample by sample.

    Args:
        program: the stack.
        x: samples, ``(b, l, d)``, at least one of each stream.
        states: one tensor for each of ``program.states``, with the batch in front.
    Returns:
        The results of the program, ``(b, l, ...)``, and the states after the last sample.
    """
    return run(
        program, x, states, {Convolution: _convolution, Selective: _selective, Diagonal: _diagonal, Heads: _heads}
    )
