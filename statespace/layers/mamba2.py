"""The Mamba-2 block: projections in parallel, a short convolution, heads with one decay each, a gated norm.

    z, (x, B, C), dt = W_in u,   (x, B, C) ← SiLU(conv(x, B, C)),
    y = W_out Norm(SSD(x; dt, B, C), z)                             Norm: RMSNorm(y ⊙ SiLU(z)) as published

Unlike Mamba, Δ, B and C come straight from the input, beside x and not from it. The block mixes the channels by itself,
so it stands in a residual block alone: ``ResidualBlock(Mamba2(d), mixing="none")``.

The parameters are those of the published checkpoints, one to one:

    into.weight, .bias          in_proj.weight, .bias, rows in the order z, x, B, C, dt
    conv_weight, conv_bias      conv1d.weight[:, 0], conv1d.bias, channels in the order x, B, C
    heads.dt_bias, .A_log, .D   dt_bias, A_log, D
    norm.weight                 norm.weight
    out.weight, .bias           out_proj.weight, .bias

The norm treats each of `n_groups` groups of channels apart, as mamba-ssm and transformers do; ``norm_groups=1`` takes
all channels together, as earlier releases of transformers did.

Source: Dao and Gu 2024 (Mamba-2, arXiv:2405.21060), figure 6 (right) and section 7.
"""

from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from statespace.errors import at_least, choose
from statespace.kernels.causal_conv1d import causal_conv1d, causal_conv1d_update
from statespace.layers._gated_norm import ORDERS, GatedRMSNorm
from statespace.layers._heads import Heads, group_count, head_width
from statespace.layers.base import SequenceLayer, beyond, check_dt, check_lengths, check_sample, check_sequence
from statespace.layers.capabilities import Capabilities

_STATE = ("b k e", "b h p n")


class Mamba2(SequenceLayer[tuple[Tensor, Tensor]]):
    """Mamba-2 block over sequences; it carries the last inputs of its convolution and the state of its heads.

    Args:
        d_model: number of channels.
        d_state: number of states for each inner channel.
        expand: inner channels for each channel.
        head_dim: inner channels of a head; None for 64, or for at most a quarter of the inner channels.
        n_groups: groups of heads that share B and C, a divisor of the number of heads.
        width: number of samples that the convolution sees, the present one included.
        norm: ``"after-gate"`` as published, ``"before-gate"``, or ``"none"``: the gate alone.
        norm_groups: groups of inner channels that are normalised apart; None for `n_groups`.
        bias: whether the projections into and out of the block have biases.
        conv_bias: whether the convolution has one.
        dt_min: smallest step at the start, in units of the sampling interval.
        dt_max: largest step at the start; the steps are log-uniform between the two.
        dt_limit: bounds that the step of a sample is held to, before `dt` and `dt_scale`.
        eps: added to the mean square in the norm.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    capabilities = Capabilities(selective=True, mixes=True)
    norm: GatedRMSNorm | None

    def __init__(
        self,
        d_model: int,
        d_state: int = 128,
        expand: int = 2,
        head_dim: int | None = None,
        n_groups: int = 1,
        width: int = 4,
        norm: str = "after-gate",
        norm_groups: int | None = None,
        bias: bool = False,
        conv_bias: bool = True,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        dt_limit: tuple[float, float] = (0.0, inf),
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        at_least("Mamba2", 1, d_model=d_model, d_state=d_state, expand=expand, width=width)
        self.d_model, self.d_state = d_model, d_state
        inner = expand * d_model
        self.head_dim = head_width("Mamba2", inner, head_dim)
        heads = inner // self.head_dim
        self.n_groups = group_count("Mamba2", heads, n_groups)
        # What the convolution sees (x, B, C), and what stands before and after it (z, dt).
        self.vectors = n_groups * d_state
        self.inner, convolved = inner, inner + 2 * self.vectors
        self.into = nn.Linear(d_model, inner + convolved + heads, bias=bias)
        bound = width**-0.5  # as a convolution of one channel starts
        self.conv_weight = nn.Parameter(torch.empty(convolved, width).uniform_(-bound, bound))
        self.conv_bias = nn.Parameter(torch.empty(convolved).uniform_(-bound, bound)) if conv_bias else None
        self.heads = Heads("Mamba2", heads, dt_min, dt_max, dt_limit)
        if choose("Mamba2", "norm", norm, (*ORDERS, "none")) == "none":
            self.norm = None
        else:
            self.norm = GatedRMSNorm("Mamba2", inner, norm, n_groups if norm_groups is None else norm_groups, eps)
        self.out = nn.Linear(inner, d_model, bias=bias)

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Return the bias of Δ, A and D: they are never decayed."""
        return list(self.heads.parameters())

    def _widths(self) -> list[int]:
        """Return those of the gate, of what the convolution sees, and of Δ before bias and softplus."""
        return [self.inner, len(self.conv_weight), len(self.heads.D)]

    def _projected(self, u: Tensor) -> list[Tensor]:
        """Return the three results of `into` for sequences, by products of their own.

        So the gradients of all need not be laid side by side before the way back.
        """
        weights, bias = self.into.weight.split(self._widths()), self.into.bias
        biases = [None] * len(weights) if bias is None else bias.split(self._widths())
        return [F.linear(u, *of) for of in zip(weights, biases, strict=True)]

    def _by_heads(self, xBC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x by heads, and B and C by groups."""
        x, B, C = xBC.split([self.inner, self.vectors, self.vectors], dim=-1)
        groups = (self.n_groups, self.d_state)
        return x.unflatten(-1, (-1, self.head_dim)), B.unflatten(-1, groups), C.unflatten(-1, groups)

    def _joined(self, y: Tensor, gate: Tensor) -> Tensor:
        y = y.flatten(-2)
        mixed: Tensor = self.out(y * F.silu(gate) if self.norm is None else self.norm(y, gate))
        return mixed

    def _sizes(self) -> dict[str, int]:
        convolved, width = self.conv_weight.shape
        return {"k": width - 1, "e": convolved, "h": len(self.heads.D), "p": self.head_dim, "n": self.d_state}

    def forward(
        self,
        x: Tensor,
        state: tuple[Tensor, Tensor] | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over whole sequences; see `SequenceLayer.forward`.

        `dt` and `dt_scale` reach the heads; the convolution counts samples, whatever the time between them.
        """
        where = "Mamba2.forward"
        check_sequence(where, x, self.d_model, state, _STATE, **self._sizes())
        recent, before = (None, None) if state is None else state
        lengths = check_lengths(where, lengths, x.shape[0], x.shape[1])
        dt = check_dt(where, x, dt, dt_scale, lengths)
        padding = beyond(lengths, x.shape[1])
        u = x if padding is None else x.masked_fill(padding[..., None], 0)
        gate, xBC, step = self._projected(u.to(self.conv_weight.dtype))
        xBC, recent = causal_conv1d(
            xBC, self.conv_weight, self.conv_bias, recent, "silu", lengths=lengths, return_final_state=True
        )
        v, B, C = self._by_heads(xBC)
        y, after = self.heads.scan(v, step, B, C, before, lengths, dt_scale if dt is None else dt * dt_scale)
        y = self._joined(y, gate).to(x.dtype)
        return y if padding is None else y.masked_fill(padding[..., None], 0), (recent, after)

    def step(
        self, x: Tensor, state: tuple[Tensor, Tensor], dt: Tensor | None = None, dt_scale: float = 1.0
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Take one sample ``(b, d)``; see `SequenceLayer.step`."""
        where = "Mamba2.step"
        check_sample(where, x, self.d_model, state, _STATE, **self._sizes())
        recent, before = state
        dt = check_dt(where, x, dt, dt_scale)
        gate, xBC, step = self.into(x.to(self.conv_weight.dtype)).split(self._widths(), dim=-1)
        if torch.is_grad_enabled():  # the step of the convolution in place has no gradient for its state
            convolved, recent = causal_conv1d(
                xBC[:, None], self.conv_weight, self.conv_bias, recent, "silu", return_final_state=True
            )
            xBC = convolved[:, 0]
        else:
            recent = recent.clone()
            xBC = causal_conv1d_update(xBC, recent, self.conv_weight, self.conv_bias, "silu")
        v, B, C = self._by_heads(xBC)
        y, after = self.heads.step(v, step, B, C, before, dt_scale if dt is None else dt * dt_scale)
        return self._joined(y, gate).to(x.dtype), (recent, after)

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return zeros: inputs of the convolution, ``(batch, width - 1, e)``, and states, ``(batch, h, p, n)``."""
        width, convolved, *heads = self._sizes().values()
        return self.conv_weight.new_zeros(batch, width, convolved), self.conv_weight.new_zeros(batch, *heads)
