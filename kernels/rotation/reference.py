"""The running rotation in torch: the truth that the compiled one is held against, on any device and for any type.

A complex state that turns by θ_t and shrinks by α_t at each step is a real one that only shrinks, if what enters it and
what reads it are turned by the sum of the angles up to their own step:

    h_t = α_t R(θ_t)ᵀ h_{t-1} + B_t x_t,   y_t = C_tᵀ h_t            is
    g_t = α_t g_{t-1} + R(S_t) B_t x_t,    y_t = (R(S_t) C_t)ᵀ g_t

with ``S_t = θ_1 + ... + θ_t`` and ``g = R(S) h``, since rotations in one plane commute.

Source: Lahoti et al. 2026 (Mamba-3, arXiv:2603.15569), section 3.2; Su et al. 2021 (arXiv:2104.09864), section 3.2, for
rotations of pairs of coordinates.
"""

from math import pi

import torch
from torch import Tensor
from torch.nn.functional import rms_norm


def wrapped(angle: Tensor) -> Tensor:
    """Return an angle less whole turns; the gradient passes as it is.

    Args:
        angle: any shape, in rad.
    Returns:
        Angles in [-π, π], of the same shape.
    """
    return angle - 2 * pi * torch.round(angle / (2 * pi))


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """Turn the first pairs of neighbouring coordinates by an angle each, and leave the rest.

    Args:
        x: vectors, ``(..., n)``.
        angle: ``(..., r)``, in rad; ``2 r <= n``.
    Returns:
        The turned vectors, ``(..., n)``.
    """
    count = 2 * angle.shape[-1]
    cos, sin = torch.cos(angle).to(x.dtype), torch.sin(angle).to(x.dtype)
    first, second = x[..., :count].unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1).flatten(-2)
    return torch.cat([turned, x[..., count:]], dim=-1)


def of_heads(rows: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Normalise the vectors of groups, and give each head its own, by a bias.

    Args:
        rows: vectors, ``(..., g, n)``.
        weight: of the norm, ``(n,)``.
        bias: of each head, ``(h, n)``; g divides h.
        eps: added to mean squares.
    Returns:
        ``weight rows / sqrt(mean rows^2 + eps) + bias``, ``(..., h, n)``.
    """
    normed = rms_norm(rows, [rows.shape[-1]], weight, eps)
    return normed.repeat_interleave(len(bias) // rows.shape[-2], -2) + bias


def rotation(
    B: Tensor,
    C: Tensor,
    B_norm: Tensor,
    C_norm: Tensor,
    B_bias: Tensor,
    C_bias: Tensor,
    rate: Tensor,
    step: Tensor,
    before: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Normalise, add biases and turn, under autograd.

    Args and returns are those of `statespace.kernels.rotation.rotation`, which checks them.
    """
    turns = rate[:, :, None, :] * step[..., None]  # (b, l, h, r)
    # In float32 a sum over 10^5 samples would know only two digits of its phase.
    angles = wrapped(before[:, None] + turns.double().cumsum(1))
    B, C = of_heads(B, B_norm, B_bias, eps), of_heads(C, C_norm, C_bias, eps)
    # An empty sequence ends where it begins; otherwise the clone is a tensor of its own, as the compiled one's.
    after = torch.cat([before[:, None], angles], 1)[:, -1].clone()
    return rotate(B, angles), rotate(C, angles), (B * C).sum(-1), after
