"""Heads of Mamba-2: systems that share one decay over all their channels and states.

    h_t = exp(Δ_t A) h_{t-1} + Δ_t x_t B_tᵀ,   y_t = h_t C_t + D x_t,        h (p, n), A a negative number,
    Δ_t = min(max(softplus(dt_t + bias), low), high) · time since the sample before

A head has p channels, and the heads of a group share B and C. `SSD` and `Mamba2` differ in where `dt`, `B` and `C` come
from; what follows is here.

Source: Dao and Gu 2024 (Mamba-2, arXiv:2405.21060), sections 6 and 7. Symbols: `A_log` is log(-A), `dt_bias` the bias
of Δ before the softplus.
"""

from math import inf, log

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from statespace.errors import InputError
from statespace.kernels.ssd import ssd

WIDEST = 64  # channels of a head in the published models


def head_width(where: str, channels: int, head_dim: int | None) -> int:
    """Return the number of channels of a head; None takes the published 64, or less to have at least four heads.

    Raises:
        InputError: `head_dim` does not divide `channels`.
    """
    if head_dim is None:
        most = max(1, min(WIDEST, channels // 4))
        return next(width for width in range(most, 0, -1) if channels % width == 0)
    if head_dim < 1 or channels % head_dim:
        divisors = ", ".join(str(width) for width in range(1, min(channels, 2 * WIDEST) + 1) if channels % width == 0)
        raise InputError(
            f"{where}: head_dim is {head_dim}, but heads of equal width are needed for {channels} inner channels: "
            f"choose one of {divisors}."
        )
    return head_dim


def group_count(where: str, heads: int, n_groups: int) -> int:
    """Return the number of groups of heads that share B and C.

    Raises:
        InputError: `n_groups` does not divide `heads`.
    """
    if n_groups < 1 or heads % n_groups:
        raise InputError(
            f"{where}: n_groups is {n_groups}, but groups of equally many of the {heads} heads are expected: choose a "
            f"divisor of {heads}."
        )
    return n_groups


def initial_dt_bias(where: str, heads: int, dt_min: float, dt_max: float) -> Tensor:
    """Return biases whose softplus is log-uniform between `dt_min` and `dt_max`, ``(heads,)``.

    Raises:
        InputError: the two are out of order or out of range.
    """
    if not 0 < dt_min <= dt_max < inf:
        raise InputError(
            f"{where}: dt_min is {dt_min} and dt_max {dt_max}, but 0 < dt_min <= dt_max is expected, both finite."
        )
    dt = torch.exp(torch.empty(heads).uniform_(log(dt_min), log(dt_max)))
    return dt + torch.log(-torch.expm1(-dt))


class Heads(nn.Module):
    """The parameters and the recurrence of all heads of a layer.

    Args:
        where: the layer's name, for messages.
        heads: number of heads.
        dt_min: smallest step at the start, in units of the sampling interval.
        dt_max: largest step at the start; the steps are log-uniform between the two.
        dt_limit: bounds that the step of a sample is held to, before it is scaled by the time since the last.
    Raises:
        InputError: a step or bound is out of range.
    """

    def __init__(
        self, where: str, heads: int, dt_min: float, dt_max: float, dt_limit: tuple[float, float] = (0.0, inf)
    ) -> None:
        super().__init__()
        low, high = dt_limit
        if not 0 <= low < high:
            raise InputError(f"{where}: dt_limit is {dt_limit}, but two bounds, 0 <= low < high, are expected.")
        self.dt_limit = (float(low), float(high))
        self.dt_bias = nn.Parameter(initial_dt_bias(where, heads, dt_min, dt_max))
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(heads))

    def _steps(self, dt: Tensor, elapsed: Tensor | float) -> Tensor:
        """Return Δ for `dt` ``(..., h)`` and the time since the sample before, ``(...)`` or one number."""
        step = F.softplus(dt + self.dt_bias)
        if self.dt_limit != (0.0, inf):
            step = step.clamp(*self.dt_limit)
        return step * (elapsed[..., None].to(step.dtype) if isinstance(elapsed, Tensor) else elapsed)

    def scan(
        self,
        x: Tensor,
        dt: Tensor,
        B: Tensor,
        C: Tensor,
        state: Tensor | None,
        lengths: Tensor | None,
        elapsed: Tensor | float,
    ) -> tuple[Tensor, Tensor]:
        """Run over whole sequences.

        Args:
            x: input, ``(b, l, h, p)``.
            dt: step before bias and softplus, ``(b, l, h)``.
            B: input vectors, ``(b, l, g, n)``.
            C: output vectors, ``(b, l, g, n)``.
            state: state before the first sample, ``(b, h, p, n)``, or None for zeros.
            lengths: samples that count in each sequence, ``(b,)``, or None for all.
            elapsed: time since the sample before, ``(b, l)`` or one number.
        Returns:
            The output ``(b, l, h, p)``, zero beyond `lengths`, and the state after the last sample that counts.
        """
        y, final = ssd(
            x,
            self._steps(dt, elapsed),
            -torch.exp(self.A_log),
            B,
            C,
            self.D,
            initial_state=state,
            lengths=lengths,
            return_final_state=True,
        )
        return y, final

    def step(
        self, x: Tensor, dt: Tensor, B: Tensor, C: Tensor, state: Tensor, elapsed: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """Take one sample: as `scan`, without the axis of time."""
        step = self._steps(dt, elapsed)
        B, C = (rows.repeat_interleave(len(self.D) // rows.shape[1], 1)[:, :, None] for rows in (B, C))  # (b, h, 1, n)
        # exp(ΔA) - 1 is small where the memory is long: a rounded decay would drift over as many steps as it remembers.
        change = torch.expm1(-step * torch.exp(self.A_log))[..., None, None]
        state = state + (change * state + (step[..., None] * x)[..., None] * B)
        # A state that comes from a scan in half precision is in float32.
        return ((state * C).sum(-1) + self.D[:, None] * x).to(x.dtype), state
