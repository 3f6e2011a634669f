"""Matrices of any number of digits, made of float64 matrices of whole numbers: products at the speed of BLAS.

A matrix is ``sum_k limbs[k] 2^(exponent - 21 (k + 1))``, and a limb holds whole numbers of at most 20 bits and a sign.
A product of two limbs then has sums below 2^53 up to thousands of terms, which float64 adds without rounding in
whatever order, so 60 digits of a 256 x 256 product are eleven calls of BLAS. mpmath goes entry by entry.

What is dropped is the tail below the last limb. Every function here that does more than multiply and add returns a
bound on the error that these tails, and the truncation of its series, have grown to; who wants more digits passes more
limbs.

Source: Ozaki, Ogita, Oishi and Rump, Numerical Algorithms 59(1), 2012, 95-118, for products without error by BLAS; the
form with whole numbers of one exponent is a plain positional system.
"""

from fractions import Fraction
from math import factorial, frexp
from typing import NamedTuple

import numpy as np

LIMB = 21  # bits; the 40 bits of a product leave 13 bits for sums in float64
BASE = 2.0**LIMB


class Fixed(NamedTuple):
    """A matrix in fixed point.

    Attributes:
        limbs: whole numbers of at most 20 bits and a sign, ``(k, rows, columns)``, highest first.
        exponent: of the whole; a multiple of 21.
    """

    limbs: np.ndarray
    exponent: int

    def block(self, rows: slice, columns: slice) -> "Fixed":
        """Return a block of the matrix."""
        return Fixed(self.limbs[:, rows, columns], self.exponent)

    @property
    def tail(self) -> float:
        """The weight of the last limb, as the base-2 logarithm."""
        return float(self.exponent - LIMB * len(self.limbs))


def _settle(sums: np.ndarray, exponent: int, count: int) -> Fixed:
    """Carry until every limb is below 2^20 in size, and keep the first `count` that are not zero.

    `sums` are ``(k, rows, columns)``, whole numbers below 2^53, of the weights of limbs.
    """
    limbs = np.concatenate([np.zeros((3, *sums.shape[1:])), sums])  # 3 * 21 bits above hold any carry
    for k in range(len(limbs) - 1, 0, -1):
        carry = np.rint(limbs[k] / BASE)
        limbs[k] -= carry * BASE
        limbs[k - 1] += carry
    used = np.flatnonzero(limbs.any(axis=(1, 2)))
    first = int(used[0]) if len(used) else 3
    kept = limbs[first : first + count]
    if len(kept) < count:
        kept = np.concatenate([kept, np.zeros((count - len(kept), *kept.shape[1:]))])
    return Fixed(kept, exponent + LIMB * (3 - first))


def from_floats(X: np.ndarray, count: int) -> Fixed:
    """Return a float64 matrix in fixed point; exact if the limbs reach its smallest digits.

    Args:
        X: ``(rows, columns)``.
        count: number of limbs.
    Returns:
        The matrix.
    """
    largest = float(np.abs(X).max(initial=0.0))
    exponent = LIMB * -(-(frexp(largest)[1] + 1) // LIMB) if largest else 0
    rest, limbs = np.ldexp(X, -exponent), np.zeros((count, *X.shape))
    for k in range(count):
        rest = rest * BASE
        limbs[k] = np.rint(rest)
        rest = rest - limbs[k]
    return Fixed(limbs, exponent)


def to_floats(X: Fixed) -> np.ndarray:
    """Return the matrix rounded to float64, to an ulp.

    Args:
        X: the matrix.
    Returns:
        ``(rows, columns)``.
    """
    total = np.zeros(X.limbs.shape[1:])
    for k in range(len(X.limbs) - 1, -1, -1):
        total = total / BASE + X.limbs[k]
    found: np.ndarray = np.ldexp(total, X.exponent - LIMB)
    return found


def log_norm(X: Fixed, order: int | None = None) -> float:
    """Return the base-2 logarithm of a norm, from the leading digits; -inf for zero.

    Args:
        X: the matrix.
        order: 2 for the spectral norm; the Frobenius norm if left out.
    Returns:
        The logarithm: the number itself may lie outside of float64.
    """
    norm = float(np.linalg.norm(to_floats(Fixed(X.limbs[:3], 0)), order)) if X.limbs.size else 0.0
    return float(np.log2(norm)) + X.exponent if norm else -float("inf")


def fits(inner: int, count: int) -> bool:
    """Return whether the sums of a product stay whole numbers below 2^53.

    Args:
        inner: number of terms of each sum.
        count: number of limbs.
    Returns:
        Whether they do.
    """
    return inner * (count + 1) < 2**13


def multiply(X: Fixed, Y: Fixed, count: int) -> Fixed:
    """Return the product, to `count` limbs.

    Args:
        X: ``(rows, inner)``.
        Y: ``(inner, columns)``.
        count: number of limbs of the result.
    Returns:
        ``(rows, columns)``.
    """
    assert fits(X.limbs.shape[2], count), "sums would leave float64"
    (deep, rows, inner), (high, _, columns) = X.limbs.shape, Y.limbs.shape
    left = np.ascontiguousarray(X.limbs.transpose(1, 0, 2)).reshape(rows, deep * inner)
    right = np.ascontiguousarray(Y.limbs[::-1]).reshape(high * inner, columns)
    sums = np.zeros((count + 2, rows, columns))
    for place in range(count + 1):  # limbs i of X and j of Y with i + j = place, side by side in one product
        first, last = max(0, place - high + 1), min(place, deep - 1)
        if first <= last:
            below = (high - 1 - place + first) * inner  # where limb j = place - first lies in the reversed stack
            width = (last - first + 1) * inner
            sums[place + 1] = left[:, first * inner : first * inner + width] @ right[below : below + width]
    return _settle(sums, X.exponent + Y.exponent, count)


def scale(X: Fixed, factor: Fraction, count: int) -> Fixed:
    """Return the matrix times a number, which is rounded to `count` limbs.

    Args:
        X: the matrix.
        factor: the number.
        count: number of limbs of the result.
    Returns:
        The matrix.
    """
    if not factor:
        return Fixed(np.zeros((count, *X.limbs.shape[1:])), 0)
    size = abs(factor.numerator).bit_length() - factor.denominator.bit_length() + 2
    exponent = LIMB * -(-size // LIMB)
    whole = round(factor * Fraction(2) ** (LIMB * (count + 1) - exponent))
    number = np.zeros(count + 1)
    for place in range(count, -1, -1):
        number[place] = (whole + (1 << (LIMB - 1))) % (1 << LIMB) - (1 << (LIMB - 1))
        whole = (whole - int(number[place])) >> LIMB
    assert whole == 0, "the exponent leaves room"
    sums = np.zeros((count + 2, *X.limbs.shape[1:]))
    for i, digit in enumerate(number):
        reach = min(len(X.limbs), count + 1 - i)
        sums[1 + i : 1 + i + reach] += digit * X.limbs[:reach]
    return _settle(sums, X.exponent + exponent, count)


def add(X: Fixed, Y: Fixed, count: int, sign: int = 1) -> Fixed:
    """Return ``X + sign Y``, to `count` limbs.

    Args:
        X: the matrix.
        Y: another of its shape.
        count: number of limbs of the result.
        sign: 1 or -1.
    Returns:
        The sum.
    """
    exponent = max(X.exponent, Y.exponent)
    sums = np.zeros((count + 1, *X.limbs.shape[1:]))
    for term, weight in ((X, 1), (Y, sign)):
        shift = (exponent - term.exponent) // LIMB
        reach = min(len(term.limbs), count + 1 - shift)
        if reach > 0:
            sums[shift : shift + reach] += weight * term.limbs[:reach]
    return _settle(sums, exponent, count)


def identity(n: int, count: int) -> Fixed:
    """Return the identity.

    Args:
        n: number of rows.
        count: number of limbs.
    Returns:
        ``(n, n)``.
    """
    return from_floats(np.eye(n), count)


def _taylor(X: Fixed, degree: int, group: int, count: int) -> Fixed:
    """Evaluate the Taylor polynomial of exp, in groups of powers (Paterson and Stockmeyer)."""
    eye = identity(X.limbs.shape[1], count)
    powers = [eye, X]
    while len(powers) <= group:
        powers.append(multiply(powers[-1], X, count))
    total = None
    for start in range(degree // group * group, -1, -group):
        part = scale(powers[0], Fraction(1, factorial(start)), count)
        for j in range(1, min(group, degree - start + 1)):
            part = add(part, scale(powers[j], Fraction(1, factorial(start + j)), count), count)
        total = part if total is None else add(multiply(total, powers[group], count), part, count)
    assert total is not None
    return total


class Exponential(NamedTuple):
    """What `exponential` gives.

    Attributes:
        whole: ``exp(A dt)``, ``(n, n)``.
        driven: the block beside it, ``(n, r)``.
        bounds: base-2 logarithms of bounds on the relative error of both, in the spectral norm.
    """

    whole: Fixed
    driven: Fixed
    bounds: tuple[float, float]


SMALL = 6  # the Taylor polynomial is taken where the norm is below 2^-6


def exponential(A: np.ndarray, V: np.ndarray, J: np.ndarray, dt: float, count: int) -> Exponential:
    """Return the upper blocks of ``exp([[A, V], [0, J]] dt)``, by a Taylor polynomial and doubling.

    The blocks are doubled side by side, ``W(2 t) = exp(A t) W(t) + W(t) exp(J t)``, so that each keeps the digits of
    its own size, however small ``exp(A dt)`` is beside the other.

    Args:
        A: ``(n, n)``, in 1/s.
        V: ``(n, r)``.
        J: ``(r, r)``.
        dt: step in s.
        count: number of limbs.
    Returns:
        The blocks and the bounds on their errors.
    """
    n, r = V.shape
    whole = np.block([[A, V], [np.zeros((r, n)), J]])
    norm = float(np.linalg.norm(whole)) * dt
    halvings = max(0, frexp(norm)[1] + SMALL)
    small = multiply(from_floats(whole, count), from_floats(np.ldexp(dt, -halvings) * np.eye(n + r), count), count)
    degree, bits = 1, LIMB * count
    while SMALL * (degree + 1) + factorial(degree + 1).bit_length() < bits:
        degree += 1
    start = _taylor(small, degree, 6, count)
    upper, lower = slice(n), slice(n, n + r)
    F, W, E = start.block(upper, upper), start.block(upper, lower), start.block(lower, lower)
    # A tail is a few units of the last limb in each of up to n terms; 30 products have gone into the start.
    unit = np.log2(n + r) + 6
    log = np.logaddexp2
    error_F = error_W = error_E = start.tail + unit + 5
    for _ in range(halvings):
        size_F, size_W, size_E = log_norm(F, 2), log_norm(W), log_norm(E)
        W = add(multiply(F, W, count), multiply(W, E, count), count)
        error_W = log(
            log(log(size_F + error_W, size_W + error_F), log(size_E + error_W, size_W + error_E)), W.tail + unit
        )
        F, E = multiply(F, F, count), multiply(E, E, count)
        error_F = log(size_F + error_F + 1, F.tail + unit)
        error_E = log(size_E + error_E + 1, E.tail + unit)
    return Exponential(F, W, (float(error_F - log_norm(F)), float(error_W - log_norm(W))))


def solve(G: Fixed, R: Fixed, count: int) -> tuple[Fixed, float]:
    """Return ``G⁻¹ R`` by iterative refinement: float64 steps, residuals in fixed point.

    Args:
        G: ``(n, n)``, not singular to float64.
        R: ``(n, m)``.
        count: number of limbs.
    Returns:
        The solution, and the base-2 logarithm of its relative error, as the last two corrections tell it.
    Source:
        Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition 2002, chapter 12.
    """
    inverse = np.linalg.inv(to_floats(Fixed(G.limbs, 0)))
    X = Fixed(np.zeros((count, *R.limbs.shape[1:])), 0)
    rest, last, deep = R, float("inf"), 4
    while True:
        step = from_floats(inverse @ to_floats(Fixed(rest.limbs, 0)), count)
        X = add(X, Fixed(step.limbs, step.exponent + rest.exponent - G.exponent), count)
        gained = log_norm(step) + rest.exponent - G.exponent - log_norm(X)
        if gained < -LIMB * (count - 3):
            return X, float(gained)
        if gained < last - 2:  # a step ought to be bits better than the one before
            last = gained
            deep = min(count, max(deep + 1, 4 + int(-2 * gained) // LIMB))  # what the next residual has to show
        elif deep == count:
            return X, float(max(gained, last if np.isfinite(last) else 0.0))
        else:
            last, deep = float("inf"), count  # entries of all sizes: only the whole residual shows the small ones
        rest = add(R, multiply(G, X, deep), deep, -1)
