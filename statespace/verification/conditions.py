"""How much of a result rounding leaves: the condition numbers that the tolerances of `verify` follow from."""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module

import numpy as np

from statespace.verification.oracles import RATIONAL

EPS = 2.0**-52
SAMPLES = 40  # of a response
KEPT = 1e-9  # as many steps are compared as leave nine digits
SAFETY = 64
DIRECTIONS, LARGE = 3, 64  # in which entries are changed; beyond 64 states one is typical of all, and dear

Discretise = Callable[[Iterable[np.ndarray], float, str, float], Sequence[np.ndarray]]


def _norm(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix)) or 1e-300


def _spread(G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``|G⁻¹|`` and ``|L| |U|``, which together bound the rounding of ``G⁻¹ x`` entry by entry.

    Elimination solves for ``|G⁻¹| |L| |U| |x|`` units of roundoff (Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd edition 2002, theorem 9.4). The condition of `G` in norm is no match for it where rows differ in
    size: for triangular matrices it may be 1e30 times as much.
    """
    lower, upper = import_module("scipy.linalg").lu(G, permute_l=True)
    return np.abs(np.linalg.inv(G)), np.abs(lower) @ np.abs(upper)


def _rational_conditions(
    given: tuple[np.ndarray, ...], found: Sequence[np.ndarray], dt: float, alpha: float
) -> list[float]:
    A, B, C, _ = given
    inverse, factors = _spread(np.eye(len(A)) - alpha * dt * A)
    moved = inverse @ factors @ inverse
    B, C = np.abs(B) * dt, np.abs(C)
    sizes = [moved / alpha, moved @ B, C @ moved, alpha * C @ moved @ B]
    return [float(np.linalg.norm(size)) / _norm(matrix) for size, matrix in zip(sizes, found, strict=True)]


def matrix_conditions(
    given: tuple[np.ndarray, ...],
    found: Sequence[np.ndarray],
    dt: float,
    method: str,
    alpha: float,
    discretise: Discretise,
) -> list[float]:
    """Return the condition numbers of the discrete matrices.

    The entries are changed in random directions, each by a share of itself, as rounding does, and what the result
    moves by is measured. Beside it stands what theory knows: no exponential is conditioned better than ``|A dt|``
    (Higham, Functions of Matrices, 2008, section 10.2), and solving with ``G = I - alpha A dt`` costs
    ``|G⁻¹| |L| |U|``.

    Args:
        given: ``A, B, C, D``.
        found: ``Abar, Bbar, Cbar, Dbar``.
        dt: step in s.
        method: a key of `statespace.discretization.METHODS`.
        alpha: weight, for those that take one.
        discretise: gives the discrete matrices of changed ones.
    Returns:
        Four numbers, at least 1.
    """
    A, B, C, D = given
    weight = RATIONAL.get(method, alpha if method == "gbt" else None)
    if weight is None:
        worst = [max(1.0, float(np.linalg.norm(A, 1)) * dt)] * 4
    elif weight == 0:
        worst = [1.0] * 4
    else:
        worst = [max(1.0, condition) for condition in _rational_conditions(given, found, dt, weight)]
    if method == "foh":  # D + C phi2(A dt) B dt sums entries of the states, each exact beside the largest of them only
        worst[3] = max(worst[3], _norm(C) * _norm(B) * dt / _norm(found[3]))
    random = np.random.default_rng(0)
    change = 1e-10
    for _ in range(DIRECTIONS if len(A) <= LARGE else 1):
        moved = [matrix * (1 + change * random.standard_normal(matrix.shape)) for matrix in (A, B, C)]
        other = discretise((*moved, D), dt, method, alpha)
        seen = [float(np.linalg.norm(o - f)) / (change * _norm(f)) for o, f in zip(other, found, strict=True)]
        worst = [max(w, s) for w, s in zip(worst, seen, strict=True)]
    return worst


def response_conditions(A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray, w: np.ndarray) -> float:
    """Return the condition number of ``C (i w - A)⁻¹ B + D``.

    Args:
        A: state matrix, ``(n, n)``.
        B: input matrix, ``(n, 1)``.
        C: output matrix, ``(1, n)``.
        D: feed-through, ``(1, 1)``.
        w: frequencies, ``(w,)``, in rad/s.
    Returns:
        What rounding of the states and of their sum comes to, in units of the whole response.
    """
    rounded, sizes = [], []
    for x in w:
        G = 1j * x * np.eye(len(A)) - A
        inverse, factors = _spread(G)
        states = np.linalg.solve(G, B)
        rounded.append((np.abs(C) @ (inverse @ factors + np.eye(len(A))) @ np.abs(states) + np.abs(D))[0, 0])
        sizes.append(abs((C @ states + D)[0, 0]))
    return float(np.linalg.norm(rounded)) / _norm(np.array(sizes))


def usable_steps(discrete: Sequence[np.ndarray], sizes: list[float]) -> tuple[int, float]:
    """Return how many steps of a response can be compared, and their condition number.

    Rounding at one step is carried on by a power of `A`, in any algorithm: it grows to ``|A^i| |A^j|``, beside which
    the response itself may have cancelled, or not have begun. As many steps are taken as leave nine digits of the whole
    to compare, and two at least.

    Args:
        discrete: ``A, B, C, D`` of the discrete system.
        sizes: norm of the response over the first 1, 2, ... steps.
    Returns:
        Number of steps, and the condition number of the response over them.
    """
    A, B, C, D = discrete
    norms, power = [1.0], np.eye(len(A))
    around, direct = float(np.linalg.norm(C) * np.linalg.norm(B)), float(np.linalg.norm(D))
    once = float(np.linalg.norm(np.abs(C) @ np.abs(B)))  # the first product has been through nothing yet
    steps, condition, rounded = 1, 1.0, 0.0
    for count, size in enumerate(sizes, 1):
        # The last of `count` samples has been through A count - 2 times.
        worst = max((norms[k] * norms[count - 2 - k] for k in range(count - 1)), default=0.0)
        carried = around * worst if count > 2 else (count - 1) * once
        rounded = max(rounded, count * (carried + direct))
        if not np.isfinite(size + rounded):
            break
        growth = rounded / (size or 1.0)  # beside nothing at all, an error counts as it is
        if count <= 2 or SAFETY * EPS * growth <= KEPT:
            steps, condition = count, max(1.0, growth)
        if count > 1:
            power = A @ power
            norms.append(float(np.linalg.norm(power)))
    return steps, condition
