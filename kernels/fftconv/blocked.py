"""The long convolution by FFT, in blocks of series and channels, with a backward of its own.

A block is copied from ``(b, l, d)`` into a padded buffer with time last, transformed, multiplied by the spectrum of
its kernels, transformed back and copied to its place. The buffers of a block stay in the caches and are used again by
the next one, so memory beyond input and output does not grow with b or d. Short signals fit into one block: that is
the plain FFT. The backward transforms input and kernel again instead of keeping their spectra. README.md has the
derivation.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from statespace.kernels.fftconv.sizes import block_sizes, fast_size
from statespace.kernels.registration import register


class _Plan:
    """Lengths and blocks of one call, and the two buffers that all its blocks share."""

    def __init__(self, u: Tensor, k: Tensor, k_reverse: Tensor) -> None:
        self.b, self.l, self.d = u.shape
        self.lk = min(k.shape[1], self.l)  # lags beyond the signal meet no sample
        self.lr = min(k_reverse.shape[1], self.l - 1)
        self.n = fast_size(self.l + max(self.lk - 1, self.lr))
        self.work = torch.promote_types(torch.promote_types(u.dtype, k.dtype), torch.float32)
        self.series, self.channels = block_sizes(u, self.n, self.work)
        self.staging = torch.empty(0, device=u.device, dtype=self.work)
        self.padded = torch.empty(0, device=u.device, dtype=self.work)

    def channel_blocks(self) -> Iterator[slice]:
        """Yield the channels of each block, with buffers made to fit."""
        for start in range(0, self.d, self.channels):
            stop = min(start + self.channels, self.d)
            if self.padded.shape[1:2] != (stop - start,):
                self.staging = self.staging.new_empty(self.series, self.l, stop - start)
                self.padded = self.padded.new_zeros(self.series, stop - start, self.n)
            yield slice(start, stop)

    def series_blocks(self) -> Iterator[slice]:
        """Yield the series of each block."""
        return (slice(start, min(start + self.series, self.b)) for start in range(0, self.b, self.series))

    def kernel_spectrum(self, k: Tensor, k_reverse: Tensor) -> Tensor:
        """Transform both kernels as one: lag j stands at index j, the lag -1-j ahead at index n-1-j."""
        both = torch.zeros(k.shape[0], self.n, device=k.device, dtype=self.work)
        both[:, : self.lk] = k[:, : self.lk]
        both[:, self.n - self.lr :] = k_reverse[:, : self.lr].flip(1)
        spectrum: Tensor = torch.fft.rfft(both)
        return spectrum

    def spectrum(self, u: Tensor) -> Tensor:
        """Transform one block ``(series, l, channels)`` along time.

        The first copy reads whole cache lines; the second one turns the axes within a small, dense block. One copy
        that does both takes twice as long.
        """
        staging, padded = self.staging[: u.shape[0]], self.padded[: u.shape[0]]
        staging.copy_(u)
        padded[..., : self.l] = staging.mT
        spectrum: Tensor = torch.fft.rfft(padded)
        return spectrum

    def signal(self, spectrum: Tensor) -> Tensor:
        """Transform a block back, to ``(series, l, channels)``."""
        signal: Tensor = torch.fft.irfft(spectrum, n=self.n)
        return signal[..., : self.l].mT

    def kernel_gradients(self, spectrum: Tensor, like: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Transform the correlation of gradient and input back, and read off its lags."""
        lags = torch.fft.irfft(spectrum, n=self.n)
        grad_k, grad_k_reverse = (torch.zeros_like(kernel) for kernel in like)
        grad_k[:, : self.lk] = lags[:, : self.lk]
        grad_k_reverse[:, : self.lr] = lags[:, self.n - self.lr :].flip(1)
        return grad_k, grad_k_reverse


def forward(u: Tensor, k: Tensor, k_reverse: Tensor) -> Tensor:
    """Convolve every channel with its kernel.

    Args:
        u: input, ``(b, l, d)`` real.
        k: causal kernel, ``(d, lk)``.
        k_reverse: anti-causal kernel, ``(d, lr)``; ``lr = 0`` for none.
    Returns:
        ``y (b, l, d)`` in `u`'s dtype.
    """
    plan = _Plan(u, k, k_reverse)
    y = torch.empty(u.shape, device=u.device, dtype=u.dtype)
    for channels in plan.channel_blocks():
        kernel = plan.kernel_spectrum(k[channels], k_reverse[channels])
        for series in plan.series_blocks():
            product = plan.spectrum(u[series, :, channels]).mul_(kernel)
            y[series, :, channels] = plan.signal(product)
    return y


def backward(grad: Tensor, u: Tensor, k: Tensor, k_reverse: Tensor, wanted: list[bool]) -> tuple[Tensor, ...]:
    """Gradients of input and kernels.

    Args:
        grad: gradient of the output, ``(b, l, d)``.
        u: as in the forward.
        k: as in the forward.
        k_reverse: as in the forward.
        wanted: which of the gradients are asked for.
    Returns:
        Gradients of `u`, `k` and `k_reverse`; of shape ``(0,)`` where not asked for.
    """
    plan = _Plan(u, k, k_reverse)
    grad = grad.resolve_neg()
    want_u, want_k = wanted[0], wanted[1] or wanted[2]
    grad_u = torch.empty(u.shape if want_u else 0, device=u.device, dtype=u.dtype)
    # An empty batch leaves those of the kernels zero.
    grad_k, grad_k_reverse = (torch.zeros(t.shape, device=u.device, dtype=t.dtype) for t in (k, k_reverse))
    for channels in plan.channel_blocks():
        kernels = k[channels], k_reverse[channels]
        conj_kernel = plan.kernel_spectrum(*kernels).conj_physical_() if want_u else None
        lags: Tensor | None = None
        for series in plan.series_blocks():
            product = plan.spectrum(grad[series, :, channels])
            if want_k:
                part = plan.spectrum(u[series, :, channels]).conj_physical_().mul_(product).sum(0)
                lags = part if lags is None else lags.add_(part)
            if conj_kernel is not None:
                grad_u[series, :, channels] = plan.signal(product.mul_(conj_kernel))
        if lags is not None:
            grad_k[channels], grad_k_reverse[channels] = plan.kernel_gradients(lags, kernels)
    found = grad_u, grad_k, grad_k_reverse
    return tuple(value if want else value.new_empty(0) for value, want in zip(found, wanted, strict=True))


fftconv = register(
    "fftconv_blocked",
    forward,
    backward,
    lambda u, *_: u.new_empty(u.shape),
    arguments="Tensor u, Tensor k, Tensor k_reverse",
    gradients=("u", "k", "k_reverse"),
    selective=True,
)
