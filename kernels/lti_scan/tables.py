"""The matrices of the chunked scan, made of the powers ``a^0 ... a^T``, and the way of their gradients back.

    K[s, t] = Re sum_n c b a^(s-t)  (+ D where s = t, and 0 where s < t),   E[t] = b a^(T-1-t),   F[t] = c a^(t+1)

take the inputs of a chunk to its outputs, its inputs to the state after it, and the state before it to its outputs. The
powers are taken in float64: rounded once, they are good to the last digit, where a product of T rounded factors is not.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

STEPS = 64  # T


def to_real(z: Tensor) -> Tensor:
    """Complex ``(..., n)`` as real ``(..., 2 n)``: real parts, then imaginary parts."""
    return torch.cat((z.real, z.imag), -1)


def to_complex(x: Tensor) -> Tensor:
    """The inverse of `to_real`."""
    n = x.shape[-1] // 2
    return torch.complex(x[..., :n].contiguous(), x[..., n:].contiguous())


def power(log_a: Tensor, steps: Tensor) -> Tensor:
    """``exp(steps log_a)`` in complex128, for ``steps (q, 1, 1)``; 1 for 0 steps, even of an infinite exponent."""
    exponent = torch.view_as_real(log_a.to(torch.complex128)) * steps[..., None]
    return torch.exp(torch.view_as_complex(torch.where(steps[..., None] == 0, 0, exponent)))


@dataclass(frozen=True)
class Tables:
    """The three matrices in real numbers, and the powers in complex128."""

    b: Tensor  # (d, n)
    c: Tensor  # (d, n)
    powers: Tensor  # (T + 1, d, n)
    into: Tensor  # (d, T, 2 n), E
    out: Tensor  # (d, 2 n, T), F, such that Re(h F) is a product of real matrices
    inside: Tensor  # (d, T, T), K transposed

    @classmethod
    def of(cls, log_a: Tensor, b: Tensor, c: Tensor, D: Tensor | None) -> "Tables":
        """Make the tables of a system."""
        steps = torch.arange(STEPS + 1, device=log_a.device)
        powers = power(log_a, steps[:, None, None])
        into = to_real(b * powers[:STEPS].flip(0)).transpose(0, 1)
        out = to_real((c * powers[1:]).conj_physical()).permute(1, 2, 0)
        lags = (c * b * powers[:STEPS]).sum(-1).real.T  # (d, T)
        if D is not None:
            lags[:, 0] += D
        lag = steps[None, :STEPS] - steps[:STEPS, None]  # s - t, (t, s)
        inside = torch.where(lag >= 0, lags[:, lag.clamp(min=0)], 0)
        return cls(b, c, powers, *(table.to(b.real.dtype).contiguous() for table in (into, out, inside)))

    def gradients(
        self, into: Tensor, out: Tensor, inside: Tensor, decay: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gradients of log_a, b, c and D in float64, from those of the three matrices and of ``a^T (d, n)``."""
        wide, channels = self.powers.dtype, self.b.shape[0]
        of_E = to_complex(into).to(wide).transpose(0, 1).flip(0)  # beside a^0 ... a^(T-1)
        of_F = to_complex(out.transpose(1, 2)).conj_physical().to(wide).transpose(0, 1)  # beside a^1 ... a^T
        # Rows one longer shift each row of K by one: its diagonals become columns.
        diagonals = pad(inside.double().triu().flatten(1), (0, STEPS)).view(channels, STEPS, STEPS + 1)
        of_lags = diagonals.sum(1)[:, :STEPS].T  # (T, d)
        p, b, c = (z.to(wide).conj_physical() for z in (self.powers, self.b, self.c))
        through_lags = (p[:STEPS] * of_lags[..., None]).sum(0)
        of_powers = torch.zeros_like(p)
        of_powers[:STEPS] = b * of_E + b * c * of_lags[..., None]
        of_powers[1:] += c * of_F
        of_powers[STEPS] += decay
        steps = torch.arange(STEPS + 1, device=p.device)[:, None, None]
        return (
            (steps * p * of_powers).sum(0),
            (p[:STEPS] * of_E).sum(0) + c * through_lags,
            (p[1:] * of_F).sum(0) + b * through_lags,
            of_lags[0],
        )
