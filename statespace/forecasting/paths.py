"""Sample paths: what each step may bring, joined to what a whole horizon may bring.

Quantiles tell of each step alone. A path also has to know that a forecast that is too low at one step is likely to be
too low at the next. A Gaussian copula joins the two: standard normal numbers with the correlation R over the horizon
become probabilities, and these become values by the quantiles of their step,

    x ~ N(0, R),   u_j = Φ(x_j),   y_j = quantile_j(u_j)

so that each step keeps its distribution exactly, whatever R is.

R is read off held-out windows: the normal scores z_j = Φ⁻¹(F_j(y_j)) of their values would be N(0, R). A tail has few
windows, and neighbours share most of their steps, so R is drawn towards what takes one number to tell:

    R = (1 - s) S + s T,   S_ij = Σ z_i z_j / √(Σ z_i² Σ z_j²),   T_ij = ρ^|i - j|,   s = Σ var S_ij / Σ (S_ij - T_ij)²

ρ the correlation of neighbouring steps, itself drawn to 0. S is what it is, and lets errors add up over the horizon or
come back after a season; it has no negative eigenvalue, as the product of a matrix and its transpose; T has positive
ones only, and s is above 0: R is a correlation without anything being repaired. With no windows it is the identity.

Source: Schefzik, Thorarinsdottir, Gneiting, Statistical Science 28(4), 2013, 616-640, section 3, for copulas over
forecasts; Schäfer and Strimmer, Stat. Appl. Genetics and Molecular Biology 4(1), 2005, article 32, section 2, for s.
Where we deviate: of windows one step apart only one in h is counted as independent of the others.
"""

import numpy as np
import torch

from statespace.errors import InputError
from statespace.models.outputs.levels import between

_PRIOR = 10  # pairs of neighbouring steps without correlation, that come before those which were seen
_LEAST_SHRINKAGE = 0.01
SAMPLE = "sample"  # the column with the number of a path
_MOST = 2**63 - 1  # what a random generator takes as its seed


def copula(scores: np.ndarray) -> np.ndarray:
    """Estimate the correlation over the horizon from the errors of held-out windows.

    Args:
        scores: normal scores of held-out values, ``(windows, h)``, as `normal_score` gives them; NaN in gaps.
    Returns:
        The correlation matrix R, ``(h, h)``, symmetric and positive definite.
    """
    h = scores.shape[1]
    z = np.nan_to_num(scores)
    size = np.sqrt((z**2).sum(0))
    size[size == 0] = 1.0
    unit = z / size
    S = unit.T @ unit
    np.fill_diagonal(S, 1.0)
    independent = np.isfinite(scores).any(1).sum() / h
    if independent <= 0 or h == 1:
        return np.eye(h)
    neighbours = np.diagonal(S, 1).mean()
    pairs = independent * (h - 1)
    rho = neighbours * pairs / (pairs + _PRIOR)
    T = rho ** np.abs(np.subtract.outer(np.arange(h), np.arange(h)))
    uncertain, apart = ((1 - S**2) ** 2).sum() / independent, ((S - T) ** 2).sum()
    share = np.clip(uncertain / max(apart, 1e-300), _LEAST_SHRINKAGE, 1.0)
    return np.asarray((1 - share) * S + share * T)


def probabilities(correlation: np.ndarray, series: int, steps: int, n_paths: int, seed: int) -> np.ndarray:
    """Draw probabilities that go together over the horizon; series are independent of each other.

    Args:
        correlation: over the horizon, ``(h, h)``, positive definite.
        series: number of series.
        steps: number of steps; beyond h each follows from the one before, as the last two of the horizon do.
        n_paths: number of paths.
        seed: the same gives the same paths.
    Returns:
        ``(n_paths, series, steps)``, each uniform on (0, 1).
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n_paths, series, steps, generator=generator, dtype=torch.float64)
    known = min(steps, len(correlation))
    root = torch.linalg.cholesky(torch.from_numpy(correlation))
    x[..., :known] = x[..., :known] @ root[:known, :known].mT
    rho = float(correlation[-1, -2]) if len(correlation) > 1 else 0.0
    for step in range(known, steps):
        x[..., step] = rho * x[..., step - 1] + (1 - rho**2) ** 0.5 * x[..., step]
    drawn: np.ndarray = torch.special.ndtr(x).numpy()
    return drawn


def simulate(where: str, quantiles: np.ndarray, correlation: np.ndarray, n_paths: int, seed: int = 0) -> np.ndarray:
    """Draw sample paths.

    Args:
        where: the function, for the message.
        quantiles: of each step at the levels `QUANTILES`, ``(series, steps, len(QUANTILES))``, ascending.
        correlation: over the horizon, ``(h, h)``, as `copula` returns it.
        n_paths: number of paths.
        seed: the same gives the same paths.
    Returns:
        ``(series, n_paths, steps)``, in the units of the quantiles; NaN where these are.
    Raises:
        InputError: `n_paths` or `seed` is not a whole number in its range.
    """
    for name, value, least in (("n_paths", n_paths, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InputError(f"{where}: {name} is {value!r}, but a whole number from {least} on is expected.")
        if value > _MOST:
            raise InputError(f"{where}: {name} is {value!r}, but a whole number up to {_MOST} is expected.")
    u = probabilities(correlation, quantiles.shape[0], quantiles.shape[1], int(n_paths), int(seed))
    paths: np.ndarray = between(torch.from_numpy(quantiles), torch.from_numpy(u)).numpy()
    return paths.swapaxes(0, 1)
