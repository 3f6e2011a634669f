"""What the results are held against: SciPy, and two kinds of 50 digits.

None shares a line with this library's own methods. SciPy knows neither of the two methods that deep models brought:
those are put together from SciPy's exponential. mpmath calculates entry by entry and is the judge of small systems;
`Judge` works in fixed point (see `statespace.verification.fixed_point`), agrees with mpmath to more than 50 digits, and
is fast enough for every comparison up to n = 256.
"""

from fractions import Fraction
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from statespace.verification import fixed_point
from statespace.verification.fixed_point import Fixed, add, from_floats, identity, multiply, scale, to_floats

DIGITS = 50
EXACT_UP_TO = 16
"""The largest number of states for which mpmath is worth the wait."""

JUDGED_UP_TO = 300
"""The largest number of states that `Judge` takes: four seconds for an exponential there."""

LIMBS = (10, 20, 40, 80)  # 210 bits serve; wildly non-normal matrices cancel, and take more
ENOUGH = -110.0  # base-2 logarithm: an error of 1e-33 is nothing beside one of float64

RATIONAL = {"bilinear": 0.5, "euler": 0.0, "backward_diff": 1.0}
"""The weights of the methods that are rational in `A`, beside gbt, which is given its own."""

Matrices = list[np.ndarray]


def scipy_discrete(
    A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray, dt: float, method: str, alpha: float
) -> Matrices:
    """Return the discrete matrices by ``scipy.signal.cont2discrete``, or from ``scipy.linalg.expm``.

    Args:
        A: state matrix, ``(n, n)``.
        B: input matrix, ``(n, m)``.
        C: output matrix, ``(p, n)``.
        D: feed-through, ``(p, m)``.
        dt: step in s.
        method: a key of `statespace.discretization.METHODS`.
        alpha: weight, for those that take one.
    Returns:
        ``Abar, Bbar, Cbar, Dbar``.
    """
    if method in ("euler-b", "exponential-trapezoidal"):
        Abar = import_module("scipy.linalg").expm(A * dt)
        if method == "euler-b":
            return [Abar, B * dt, C, D]
        return [Abar, Abar @ B * dt, C, D + alpha * dt * C @ B]
    return list(import_module("scipy.signal").cont2discrete((A, B, C, D), dt, method, alpha=alpha)[:4])


@lru_cache(maxsize=64)
def _mpmath_exponential(A: tuple[tuple[float, ...], ...], B: tuple[tuple[float, ...], ...], dt: float) -> Any:
    """Return ``exp([[A dt, B dt, 0], [0, 0, I], [0, 0, 0]])``, which several methods share."""
    mp = import_module("mpmath").mp
    n, m = len(A), len(B[0])
    with mp.workdps(DIGITS + 30):
        block = mp.zeros(n + 2 * m)
        block[:n, :n], block[:n, n : n + m] = mp.matrix(A) * mp.mpf(dt), mp.matrix(B) * mp.mpf(dt)
        block[n : n + m, n + m :] = mp.eye(m)
        return mp.expm(block)


def exact_discrete(
    A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray, dt: float, method: str, alpha: float
) -> Matrices:
    """Return the discrete matrices by mpmath at 50 digits, rounded to float64.

    Args:
        A: state matrix, ``(n, n)``.
        B: input matrix, ``(n, m)``.
        C: output matrix, ``(p, n)``.
        D: feed-through, ``(p, m)``.
        dt: step in s.
        method: a key of `statespace.discretization.METHODS`.
        alpha: weight, for those that take one.
    Returns:
        ``Abar, Bbar, Cbar, Dbar``.
    """
    mp = import_module("mpmath").mp
    n, m = B.shape
    with mp.workdps(DIGITS + 30):
        a, b, c, d = (mp.matrix(matrix.tolist()) for matrix in (A, B, C, D))
        h, eye = mp.mpf(dt), mp.eye(n)
        if method == "gbt" or method in RATIONAL:
            weight = mp.mpf(RATIONAL.get(method, alpha))
            inverse = mp.inverse(eye - weight * h * a)
            found = [
                inverse * (eye + (1 - weight) * h * a),
                inverse * b * h,
                c * inverse,
                d + weight * h * c * inverse * b,
            ]
        else:
            whole = _mpmath_exponential(tuple(map(tuple, A.tolist())), tuple(map(tuple, B.tolist())), dt)
            Abar, held, ahead = whole[:n, :n], whole[:n, n : n + m], whole[:n, n + m :]
            found = {
                "zoh": [Abar, held, c, d],
                "foh": [Abar, held - ahead + Abar * ahead, c, d + c * ahead],
                "impulse": [Abar, Abar * b * h, c, d + c * b * h],
                "exponential-trapezoidal": [Abar, Abar * b * h, c, d + mp.mpf(alpha) * h * c * b],
                "euler-b": [Abar, b * h, c, d],
            }[method]
        return [_rounded(matrix) for matrix in found]


def _rounded(matrix: Any) -> np.ndarray:
    return np.array([[float(matrix[i, j]) for j in range(matrix.cols)] for i in range(matrix.rows)])


class Judge:
    """The discrete matrices and the frequency response of one system, in fixed point with some 60 digits.

    What several methods have in common is calculated once. Where no number of digits that is worth the wait brings the
    error below 1e-33, the answer is None.

    Args:
        A: state matrix, ``(n, n)``.
        B: input matrix, ``(n, m)``.
        C: output matrix, ``(p, n)``.
        D: feed-through, ``(p, m)``.
    """

    def __init__(self, A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray) -> None:
        self.A, self.B, self.C, self.D = A, B, C, D
        self._exponential = cache(self._find_exponential)  # of each step, for all methods that need it

    def _counts(self, inner: int) -> list[int]:
        if len(self.A) > JUDGED_UP_TO:
            return []
        return [count for count in LIMBS if fixed_point.fits(inner, count)]

    def _find_exponential(self, dt: float) -> dict[str, Fixed] | None:
        n, m = self.B.shape
        V = np.concatenate([self.B * 1.0, np.zeros((n, m))], 1)
        # dt J / dt: a slope that is 1 over the step, whatever its length
        J = np.block([[np.zeros((m, m)), np.eye(m)], [np.zeros((m, m)), np.zeros((m, m))]])
        for count in self._counts(n + 2 * m):
            found = fixed_point.exponential(self.A, V, J, dt, count)
            if max(found.bounds) > ENOUGH:
                continue
            step = Fraction(dt)
            Abar, held = found.whole, found.driven.block(slice(n), slice(m))
            ahead = scale(found.driven.block(slice(n), slice(m, 2 * m)), 1 / step, count)
            B, C = from_floats(self.B, count), from_floats(self.C, count)
            drive = scale(B, step, count)
            foh = add(add(held, ahead, count, -1), multiply(Abar, ahead, count), count)
            return {
                "Abar": Abar,
                "held": held,
                "foh": foh,
                "decayed": multiply(Abar, drive, count),
                "C ahead": multiply(C, ahead, count),
                "C drive": multiply(C, drive, count),
            }
        return None

    def _rational(self, dt: float, weight: float) -> Matrices | None:
        n = len(self.A)
        step, share = Fraction(dt), Fraction(weight)
        for count in self._counts(n):
            A, B, C, D = (from_floats(matrix, count) for matrix in (self.A, self.B, self.C, self.D))
            eye = identity(n, count)
            G = add(eye, scale(A, share * step, count), count, -1)
            inverse, error = fixed_point.solve(G, eye, count) if share else (eye, -float("inf"))
            if error > ENOUGH:
                continue
            if share:
                Abar = scale(add(inverse, scale(eye, 1 - share, count), count, -1), 1 / share, count)
            else:
                Abar = add(eye, scale(A, step, count), count)
            Bbar = multiply(inverse, scale(B, step, count), count)
            Cbar = multiply(C, inverse, count)
            Dbar = add(D, scale(multiply(C, Bbar, count), share, count), count)
            return [to_floats(matrix) for matrix in (Abar, Bbar, Cbar, Dbar)]
        return None

    def discrete(self, dt: float, method: str, alpha: float, D: np.ndarray | None = None) -> Matrices | None:
        """Return the discrete matrices, rounded to float64.

        Args:
            dt: step in s.
            method: a key of `statespace.discretization.METHODS`.
            alpha: weight, for those that take one.
            D: another feed-through, for a method that takes none.
        Returns:
            ``Abar, Bbar, Cbar, Dbar``, or None where they are not to be had.
        """
        if method == "gbt" or method in RATIONAL:
            return self._rational(dt, RATIONAL.get(method, alpha))
        found = self._exponential(dt)
        if found is None:
            return None
        step, driven, direct = {
            "zoh": ("held", None, 0.0),
            "foh": ("foh", "C ahead", 1.0),
            "impulse": ("decayed", "C drive", 1.0),
            "exponential-trapezoidal": ("decayed", "C drive", alpha),
            "euler-b": (None, None, 0.0),
        }[method]
        Bbar = self.B * dt if step is None else to_floats(found[step])
        Dbar = self.D if D is None else D
        if driven is not None:
            count = len(found[driven].limbs)
            share = scale(found[driven], Fraction(direct), count)
            Dbar = to_floats(add(from_floats(Dbar, count), share, count))
        return [to_floats(found["Abar"]), Bbar, self.C, Dbar]

    def response(self, w: np.ndarray) -> np.ndarray | None:
        """Return ``C (i w - A)⁻¹ B + D``.

        Args:
            w: frequencies, ``(w,)``, in rad/s.
        Returns:
            ``(w, p, m)``, complex, or None where it is not to be had.
        """
        n, m = self.B.shape
        found = []
        for x in w:
            # (i w - A) (re + i im) = B, in real and imaginary part
            whole = np.block([[-self.A, -x * np.eye(n)], [x * np.eye(n), -self.A]])
            right = np.concatenate([self.B, np.zeros((n, m))])
            for count in self._counts(2 * n):
                solution, error = fixed_point.solve(from_floats(whole, count), from_floats(right, count), count)
                if error <= ENOUGH:
                    C = from_floats(self.C, count)
                    halves = (solution.block(part, slice(m)) for part in (slice(n), slice(n, 2 * n)))
                    re, im = (to_floats(multiply(C, half, count)) for half in halves)
                    found.append(re + 1j * im + self.D)
                    break
            else:
                return None
        return np.array(found)
