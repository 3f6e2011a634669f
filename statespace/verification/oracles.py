"""What the results are held against: SciPy, and mpmath at 50 digits.

Both give the discrete matrices of one system; neither shares a line with this library's own methods. SciPy knows
neither of the two methods that deep models brought: those are put together from SciPy's exponential.
"""

from importlib import import_module
from typing import Any

import numpy as np

DIGITS = 50
EXACT_UP_TO = 16
"""The largest number of states for which 50 digits are worth the wait."""

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
        if method in ("gbt", "bilinear", "euler", "backward_diff"):
            weight = mp.mpf({"bilinear": 0.5, "euler": 0.0, "backward_diff": 1.0}.get(method, alpha))
            inverse = mp.inverse(eye - weight * h * a)
            found = [
                inverse * (eye + (1 - weight) * h * a),
                inverse * b * h,
                c * inverse,
                d + weight * h * c * inverse * b,
            ]
        else:
            block = mp.zeros(n + 2 * m)
            block[:n, :n], block[:n, n : n + m] = a * h, b * h
            block[n : n + m, n + m :] = mp.eye(m)
            whole = mp.expm(block)
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


def exact_response(A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return ``C (i w - A)⁻¹ B + D`` by mpmath at 50 digits.

    Args:
        A: state matrix, ``(n, n)``.
        B: input matrix, ``(n, 1)``.
        C: output matrix, ``(1, n)``.
        D: feed-through, ``(1, 1)``.
        w: frequencies, ``(w,)``, in rad/s.
    Returns:
        ``(w,)``, complex.
    """
    mp = import_module("mpmath").mp
    with mp.workdps(DIGITS):
        a, b, c, d = (mp.matrix(matrix.tolist()) for matrix in (A, B, C, D))
        eye = mp.eye(len(A))
        return np.array([complex((c * mp.lu_solve(1j * mp.mpf(float(x)) * eye - a, b) + d)[0]) for x in w])
