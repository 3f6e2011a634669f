"""The long convolution as the sum that defines it: the truth that the FFT is compared with."""

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad


def fftconv(u: Tensor, k: Tensor, k_reverse: Tensor) -> Tensor:
    """Convolve every channel with its kernel, term by term.

    ``y[t] = sum_{s <= t} k[t-s] u[s] + sum_{s > t} k_reverse[s-t-1] u[s]``

    Args:
        u: input, ``(b, l, d)``.
        k: causal kernel, ``(d, lk)``.
        k_reverse: anti-causal kernel, ``(d, lr)``; ``lr = 0`` for none.
    Returns:
        ``y (b, l, d)`` in `u`'s dtype, computed in float32 at least, differentiable by autograd.
    """
    if u.numel() == 0:
        return u * k.sum().to(u.dtype)  # empty, but still a function of both
    work = torch.promote_types(torch.promote_types(u.dtype, k.dtype), torch.float32)
    # conv1d correlates: its weights run from the oldest lag, lk - 1, to the earliest one ahead, -lr.
    weight = torch.cat([k.flip(1), k_reverse], dim=1).to(work)
    padded = pad(u.to(work).mT, (k.shape[1] - 1, k_reverse.shape[1]))
    return conv1d(padded, weight[:, None], groups=k.shape[0]).mT.to(u.dtype)
