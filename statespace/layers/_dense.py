"""Dense time-invariant systems, one for each channel, as a convolution and as a scan over blocks of time.

    h_t = Abar h_{t-1} + Bbar u_t,   y_t = C h_t + D u_t,        Abar (n, n)

Everything rests on two tables of T powers, ``Abar^i Bbar`` and ``C Abar^i``, made by doubling: the kernel at jT + i is
``(C Abar^(jT)) (Abar^i Bbar)``, so that √L powers on either side give L of them. The scan takes a block of T samples as
one product with a Toeplitz matrix, and only the states between blocks follow one another.

Tables are made in float64, for rounding in a power of a matrix grows with the power, and rounded once.

Source: Gu, Johnson, Goel, Saab, Dao, Rudra, Ré 2021 (LSSL, arXiv:2110.13985), for the kernel as a Krylov sequence;
Paterson and Stockmeyer, SIAM Journal on Computing 2(1), 1973, 60-66, for giant and baby steps.
"""

from math import log2
from typing import NamedTuple

import torch
from torch import Tensor

from statespace.kernels.fftconv import fftconv
from statespace.layers.base import beyond
from statespace.systems._matrices import Powers, orbit, rows_orbit

BLOCK = 64


class Dense:
    """A discrete system for each channel, in float64, and the powers of its matrix.

    Args:
        Abar: ``(d, n, n)``.
        Bbar: ``(d, n)``.
        C: ``(d, n)``.
    """

    def __init__(self, Abar: Tensor, Bbar: Tensor, C: Tensor) -> None:
        self.Abar, self.Bbar, self.C = Abar, Bbar, C
        self.powers = Powers(Abar)

    def reach(self, count: int) -> Tensor:
        """Return ``Abar^i Bbar`` for i below `count`, ``(d, count, n)``."""
        return orbit(self.powers, self.Bbar[..., None], count)[..., 0]

    def echo(self, count: int) -> Tensor:
        """Return ``C Abar^(i+1)``, what a state gives i samples later, ``(d, count, n)``."""
        return rows_orbit(self.C[:, None] @ self.Abar, self.powers, count)[..., 0, :]


def _root(length: int) -> int:
    """Return the number of doublings that reach the root of `length`."""
    return -(-(length - 1).bit_length() // 2)


def kernel(system: Dense, length: int) -> Tensor:
    """Return ``C Abar^t Bbar`` for t below `length`, ``(d, length)``."""
    doublings = _root(length)
    T = 1 << doublings
    giant = rows_orbit(system.C[:, None], system.powers, -(-length // T), doublings)[..., 0, :]
    return (giant @ system.reach(T).mT).flatten(1)[:, :length]


def _echo(system: Dense, state: Tensor, length: int) -> Tensor:
    """Return what the state ``(b, d, n)`` before the first sample adds to the outputs, ``(b, length, d)``."""
    doublings = _root(length)
    T = 1 << doublings
    giant = orbit(system.powers, state.double()[..., None], -(-length // T), doublings)[..., 0]
    return (giant @ system.echo(T).mT).flatten(2)[..., :length].transpose(1, 2).to(state.dtype)


def _apply_power(A: Powers, count: Tensor, h: Tensor, most: int) -> Tensor:
    """Return ``A^count h`` for powers of ``(d, n, n)``, `count` ``(b,)`` up to `most`, and `h` ``(d, b, n)``."""
    for bit in range(most.bit_length()):
        h = torch.where((count >> bit & 1).bool()[:, None], h @ A.square(bit).to(h.dtype).mT, h)
    return h


class Blocks(NamedTuple):
    """A signal in blocks of T samples, and the states between them.

    Attributes:
        u: samples, ``(d, b, blocks, T)``, zeros at the end.
        before: the state before each block and after the last, ``(d, b, blocks + 1, n)``.
        handed: what a block's samples leave behind in the state, ``(d, T, n)``.
    """

    u: Tensor
    before: Tensor
    handed: Tensor


def _in_blocks(system: Dense, u: Tensor, state: Tensor | None, T: int) -> Blocks:
    batch, length, channels = u.shape
    count = -(-length // T)
    padded = torch.nn.functional.pad(u, (0, 0, 0, count * T - length))
    samples = padded.reshape(batch, count, T, channels).permute(3, 0, 1, 2)
    handed = system.reach(T).flip(1).to(u.dtype)
    ends = (samples.flatten(1, 2) @ handed).unflatten(1, (batch, count))
    h = ends.new_zeros(channels, batch, ends.shape[-1]) if state is None else state.transpose(0, 1)
    through = system.powers(T).to(u.dtype).mT
    before = [h]
    for end in ends.unbind(2):
        h = h @ through + end
        before.append(h)
    return Blocks(samples, torch.stack(before, 2), handed)


def _final_state(system: Dense, blocks: Blocks, lengths: Tensor) -> Tensor:
    """Return the state after `lengths` samples, ``(b, d, n)``: from the last boundary on by the samples that remain."""
    T, batch = blocks.u.shape[-1], torch.arange(len(lengths), device=lengths.device)
    whole, rest = lengths // T, lengths % T
    at_boundary = blocks.before[:, batch, whole]  # (d, b, n)
    last = blocks.u[:, batch, whole.clamp(max=blocks.u.shape[2] - 1)]  # (d, b, T)
    source = torch.arange(T, device=lengths.device) - (T - rest)[:, None]  # moved to the right, zeros in front
    moved = torch.where(source >= 0, last.gather(2, source.clamp(min=0).expand_as(last)), 0)
    return (_apply_power(system.powers, rest, at_boundary, T - 1) + moved @ blocks.handed).transpose(0, 1)


def _lengths(u: Tensor, lengths: Tensor | None) -> Tensor:
    return torch.full((u.shape[0],), u.shape[1], device=u.device) if lengths is None else lengths


def scan(u: Tensor, system: Dense, D: Tensor, state: Tensor | None, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Run the systems block by block; as `convolve`."""
    T = min(BLOCK, u.shape[1])
    blocks = _in_blocks(system, u, state, T)
    response = kernel(system, T).to(u.dtype)  # (d, T)
    earlier = torch.nn.functional.pad(response.flip(1), (0, T - 1))
    toeplitz = earlier.unfold(1, T, 1).flip(1)  # (d, T, T), the kernel at row less column
    y = blocks.u.flatten(1, 2) @ toeplitz.mT
    y = y + blocks.before[:, :, :-1].flatten(1, 2) @ system.echo(T).to(u.dtype).mT
    y = y.unflatten(1, blocks.u.shape[1:3]).flatten(2).permute(1, 2, 0)[:, : u.shape[1]]
    return y + D * u, _final_state(system, blocks, _lengths(u, lengths))


def convolve(
    u: Tensor, system: Dense, K: Tensor, D: Tensor, state: Tensor | None, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Convolve with the kernel by FFT, and add what a convolution leaves out: the state carried in and out.

    Args:
        u: input, ``(b, l, d)``, at least one sample, zero beyond `lengths`.
        system: the discrete systems.
        K: their kernel ``C Abar^t Bbar``, ``(d, l)``.
        D: feed-through, ``(d,)``.
        state: state before the first sample, ``(b, d, n)``, or ``None`` for zeros.
        lengths: samples that count in each sequence, ``(b,)``, or ``None`` for all.
    Returns:
        ``y (b, l, d)`` and the state after the last sample that counts, ``(b, d, n)``.
    """
    length = u.shape[1]
    y = fftconv(u, K.to(u.dtype), D=D)
    if state is not None:
        y = y + _echo(system, state, length)
    T = min(length, max(BLOCK, 4 << round(log2(length) / 2)))  # few blocks, for the states between follow one another
    return y, _final_state(system, _in_blocks(system, u, state, T), _lengths(u, lengths))


def run(
    u: Tensor,
    system: Dense,
    K: Tensor | None,
    D: Tensor,
    state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Run the systems over a batch that may be ragged or empty: as a convolution with `K`, or as a scan without."""
    if u.shape[1] == 0:
        return u, u.new_zeros(u.shape[0], *system.Bbar.shape) if state is None else state
    padding = beyond(lengths, u.shape[1])
    if padding is not None:
        u = u.masked_fill(padding[..., None], 0)
    with torch.autocast(u.device.type, enabled=False):  # a state in half precision would lose the past
        y, final = scan(u, system, D, state, lengths) if K is None else convolve(u, system, K, D, state, lengths)
    return (y if padding is None else y.masked_fill(padding[..., None], 0)), final
