"""The Mamba block: a short convolution and a selective state space model under one gate.

    u, z = W_in x,   u ← SiLU(conv(u)),   y = W_out (S6(u) ⊙ SiLU(z))

It mixes the channels by itself, so it stands in a residual block alone: ``ResidualBlock(Mamba(d), mixing="none")``.

The parameters are those of the published checkpoints, one to one:

    into.weight, .bias                in_proj.weight, .bias, rows in the order u, z
    conv_weight, conv_bias            conv1d.weight[:, 0], conv1d.bias
    ssm.select.weight                 x_proj.weight, rows in the order Δ, B, C
    ssm.dt_weight, .dt_bias           dt_proj.weight, .bias
    ssm.A_log, ssm.D                  A_log, D
    out.weight, .bias                 out_proj.weight, .bias

Source: Gu and Dao 2023 (Mamba, arXiv:2312.00752), figure 3 and section 3.4.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from statespace.errors import at_least
from statespace.kernels.causal_conv1d import causal_conv1d, causal_conv1d_update
from statespace.layers.base import SequenceLayer, beyond, check_dt, check_lengths, check_sample, check_sequence
from statespace.layers.capabilities import Capabilities
from statespace.layers.s6 import S6

STATE_AXES = ("b k e", "b e n")  # the last inputs of the convolution, and the state of the S6


class Mamba(SequenceLayer[tuple[Tensor, Tensor]]):
    """Mamba block over sequences; it carries the last inputs of its convolution and the state of its S6.

    Args:
        d_model: number of channels.
        d_state: number of states for each inner channel.
        expand: inner channels for each channel.
        width: number of samples that the convolution sees, the present one included.
        discretization: as for `S6`.
        dt_rank: width of the bottleneck that Δ goes through; None for ``d_model / 16``, rounded up.
        bias: whether the projections into and out of the block have biases.
        conv_bias: whether the convolution has one.
        dt_min: smallest step at the start, in units of the sampling interval.
        dt_max: largest step at the start; the steps are log-uniform between the two.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    capabilities = Capabilities(selective=True, mixes=True)

    def __init__(
        self,
        d_model: int,
        d_state: int = 16,
        expand: int = 2,
        width: int = 4,
        discretization: str = "euler-b",
        dt_rank: int | None = None,
        bias: bool = False,
        conv_bias: bool = True,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
    ) -> None:
        super().__init__()
        at_least("Mamba", 1, d_model=d_model, expand=expand, width=width)
        self.d_model = d_model
        inner = expand * d_model
        self.into = nn.Linear(d_model, 2 * inner, bias=bias)
        bound = width**-0.5  # as a convolution of one channel starts
        self.conv_weight = nn.Parameter(torch.empty(inner, width).uniform_(-bound, bound))
        self.conv_bias = nn.Parameter(torch.empty(inner).uniform_(-bound, bound)) if conv_bias else None
        rank = -(-d_model // 16) if dt_rank is None else dt_rank
        self.ssm = S6(inner, d_state, discretization, rank, dt_min, dt_max)
        self.out = nn.Linear(inner, d_model, bias=bias)

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return those of the S6."""
        return self.ssm.ssm_parameters()

    def _sizes(self) -> dict[str, int]:
        inner, width = self.conv_weight.shape
        return {"e": inner, "k": width - 1, "n": self.ssm.d_state}

    def forward(
        self,
        x: Tensor,
        state: tuple[Tensor, Tensor] | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over whole sequences; see `SequenceLayer.forward`.

        `dt` and `dt_scale` reach the S6; the convolution counts samples, whatever the time between them.
        """
        check_sequence("Mamba.forward", x, self.d_model, state, STATE_AXES, **self._sizes())
        lengths = check_lengths("Mamba.forward", lengths, x.shape[0], x.shape[1])
        dt = check_dt("Mamba.forward", x, dt, dt_scale, lengths)
        recent, ssm = (None, None) if state is None else state
        padding = beyond(lengths, x.shape[1])
        # What stands in the padding would enter the gradient of a matrix, times 0: NaN would stay NaN.
        real = x if padding is None else x.masked_fill(padding[..., None], 0)
        # Two products, so that the gradients of their results need not be laid side by side before the way back.
        real, weights = real.to(self.conv_weight.dtype), self.into.weight.chunk(2)
        biases = (None, None) if self.into.bias is None else self.into.bias.chunk(2)
        u, gate = (F.linear(real, weight, bias) for weight, bias in zip(weights, biases, strict=True))
        u, recent = causal_conv1d(
            u, self.conv_weight, self.conv_bias, recent, "silu", lengths=lengths, return_final_state=True
        )
        y, ssm = self.ssm(u, ssm, lengths, dt, dt_scale, gate)
        y = self.out(y)
        if padding is not None and self.out.bias is not None:
            y = y.masked_fill(padding[..., None], 0)
        return y.to(x.dtype), (recent, ssm)

    def step(
        self, x: Tensor, state: tuple[Tensor, Tensor], dt: Tensor | None = None, dt_scale: float = 1.0
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Take one sample ``(b, d)``; see `SequenceLayer.step`."""
        check_sample("Mamba.step", x, self.d_model, state, STATE_AXES, **self._sizes())
        dt = check_dt("Mamba.step", x, dt, dt_scale)
        if torch.is_grad_enabled():  # the steps in place have no gradients
            y, state = self(x[:, None], state, None, None if dt is None else dt[:, None], dt_scale)
            return y[:, 0], state
        recent, ssm = state
        u, gate = self.into(x.to(self.conv_weight.dtype)).chunk(2, dim=-1)
        recent = recent.clone()
        u = causal_conv1d_update(u, recent, self.conv_weight, self.conv_bias, "silu")
        y, ssm = self.ssm.step(u, ssm, dt, dt_scale, gate)
        return self.out(y).to(x.dtype), (recent, ssm)

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return zeros: the inputs of the convolution, ``(batch, width - 1, inner)``, and the state of the S6."""
        inner, width = self.conv_weight.shape
        return self.conv_weight.new_zeros(batch, width - 1, inner), self.ssm.initial_state(batch)
