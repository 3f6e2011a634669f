"""A Poisson number of gamma distributed amounts, added up: density, distribution function and its inverse.

    y = Σ_{i ≤ n} g_i,    n ~ Poisson(λ),    g_i ~ Gamma(shape α, scale θ)

    P(y = 0) = e^-λ,   f(y) = Σ_n P(n) gamma(y; n α, θ),   F(y) = e^-λ + Σ_n P(n) I(n α, y / θ)

with I the regularised incomplete gamma function. Only the terms around the largest count. Where more than 128 do, 128
are taken at equal distances, not whole: both sums are then integrals of smooth bells to all digits (the trapezoidal
rule, whose error falls as exp(-2π² σ² / step²), σ the width of the bell).

Source: Dunn and Smyth, Statistics and Computing 15(4), 2005, 267-280, for the terms that count; Trefethen and Weideman,
SIAM Review 56(3), 2014, 385-458, section 5, for the sums.
"""

import numpy as np
import torch
from torch import Tensor

from statespace.models.outputs.precision import special

_TERMS = 128
_WIDTHS, _MORE = 7, 8  # terms beyond 7 standard deviations and 8 more from the largest are below 1e-10 of the sum
_AT_ONCE = 2**21  # terms of a distribution function in memory
_CLOSE = 1e-10  # relative step at which a quantile is found


def _counts(largest: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
    """Return the numbers n of the terms to be summed, ``(..., terms)``, and the distance between two, ``(..., 1)``."""
    reach = _WIDTHS * width + _MORE
    first = (largest - reach).floor().clamp(min=1)
    span = (largest + reach).ceil() - first
    terms = int(span.amax().nan_to_num(1).clamp(1, _TERMS - 1).item()) + 1 if span.numel() else 1
    step = (span / (terms - 1)).clamp(min=1)[..., None]
    return first[..., None] + step * torch.arange(terms, device=largest.device), step


def log_sum(L: Tensor, alpha: Tensor, largest: Tensor) -> Tensor:
    """Return ``log Σ_n exp(n L) / (Γ(n + 1) Γ(n α))``, the part of the density that has no closed form.

    Args:
        L: ``(...)``.
        alpha: shape of an amount, ``(...)``, broadcast against `L`.
        largest: about the n of the largest term, ``(...)``.
    Returns:
        ``(...)``.
    """
    n, step = _counts(largest.detach(), (largest / (1 + alpha)).detach().sqrt())
    terms = n * L[..., None] - torch.lgamma(n + 1) - torch.lgamma(n * alpha[..., None])
    return torch.logsumexp(terms + step.log(), dim=-1)


def _distribution(y: np.ndarray, n: np.ndarray, weight: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of outcomes above 0 and up to `y`, and its derivative, ``(rows,)``; `y` in units of θ."""
    sp, shape = special(), n * alpha[:, None]
    below = (weight * sp.gammainc(shape, y[:, None])).sum(1)
    density = (weight * np.exp(sp.xlogy(shape - 1, y[:, None]) - y[:, None] - sp.gammaln(shape))).sum(1)
    return below, density


def _quantile(rate: np.ndarray, alpha: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Find quantiles above 0, ``(rows,)``, by Newton's method, halving the bracket where a step would leave it."""
    sp = special()
    count = _counts(torch.from_numpy(rate), torch.from_numpy(rate).sqrt())[0].numpy()
    weight = np.exp(sp.xlogy(count, rate[:, None]) - rate[:, None] - sp.gammaln(count + 1))
    wanted, some = u - np.exp(-rate), -np.expm1(-rate)
    weight *= (some / weight.sum(1))[:, None]  # whatever the distance of the counts, and whatever was rounded away
    # Start at the gamma distribution with the mean and variance of outcomes above 0.
    mean = rate * alpha / some
    variance = rate * alpha * (1 + alpha + rate * alpha) / some - mean**2
    y: np.ndarray = variance / mean * sp.gammaincinv(mean**2 / variance, np.clip(wanted / some, 0, 1 - 1e-16))
    low, high = np.zeros_like(y), np.full_like(y, np.inf)
    going = np.arange(len(y))
    for _ in range(200):
        if not going.size:
            break
        at = y[going]
        below, density = _distribution(at, count[going], weight[going], alpha[going])
        over = below - wanted[going]
        high[going] = np.where(over >= 0, at, high[going])
        low[going] = np.where(over < 0, at, low[going])
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            new = at - over / density
        inside = (new > low[going]) & (new < high[going])
        halved = np.where(np.isinf(high[going]), 2 * at, (low[going] + high[going]) / 2)
        y[going] = np.where(inside, new, halved)
        going = going[np.abs(y[going] - at) > _CLOSE * at]
    return y


def quantile(rate: np.ndarray, alpha: np.ndarray, theta: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the smallest y with ``F(y) ≥ u``; 0 where the probability of zero reaches `u`.

    Args:
        rate: λ, mean number of amounts, ``(...)``.
        alpha: shape of an amount, ``(...)``.
        theta: scale of an amount, ``(...)``, in the units of y.
        u: probabilities in (0, 1), ``(...)``.
    Returns:
        Quantiles, ``(...)``, in the units of y.
    """
    found = np.zeros(rate.shape)
    rows = np.flatnonzero(u > np.exp(-rate))
    flat = [part.reshape(-1) for part in (rate, alpha, u)]
    rows = rows[np.argsort(flat[0][rows])]  # rows with as many terms to sum go together
    for some in np.array_split(rows, max(1, -(-rows.size * _TERMS // _AT_ONCE))):
        found.reshape(-1)[some] = _quantile(*(part[some] for part in flat))
    return np.asarray(found * theta)
