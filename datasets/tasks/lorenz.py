"""Lorenz: three numbers on a chaotic attractor, to be predicted some steps ahead.

    x' = sigma (y - x),   y' = x (rho - z) - y,   z' = x y - beta z,        sigma = 10, rho = 28, beta = 8/3

solved by the classical Runge-Kutta method of order 4.

Source: Lorenz, Journal of the Atmospheric Sciences 20(2), 1963, 130-141, equations (25) to (27).
"""

import numpy as np

from statespace.datasets.tasks.base import Batch, Task, positive
from statespace.errors import at_least

_SIGMA, _RHO, _BETA = 10.0, 28.0, 8 / 3
_LARGEST_STEP = 0.01
_TRANSIENT = 5.0  # units of time until the attractor is reached
_MEAN, _DEVIATION = np.array([0.0, 0.0, 23.5]), np.array([7.9, 9.0, 8.6])


def _slope(s: np.ndarray) -> np.ndarray:
    x, y, z = s
    return np.stack([_SIGMA * (y - x), x * (_RHO - z) - y, x * y - _BETA * z])


def lorenz(start: np.ndarray, dt: float, steps: int) -> np.ndarray:
    """Solve the equations.

    Args:
        start: where each solution begins, ``(3, b)``.
        dt: time between two points, without unit.
        steps: number of points after the first.
    Returns:
        The solutions, beginning with `start`, ``(steps + 1, 3, b)``.
    """
    inner = int(np.ceil(dt / _LARGEST_STEP))
    h = dt / inner
    states = [start]
    for _ in range(steps):
        s = states[-1]
        for _ in range(inner):
            k1 = _slope(s)
            k2 = _slope(s + h / 2 * k1)
            k3 = _slope(s + h / 2 * k2)
            s = s + h / 6 * (k1 + 2 * k2 + 2 * k3 + _slope(s + h * k3))
        states.append(s)
    return np.stack(states)


class Lorenz(Task):
    """Predict a chaotic system.

    Args:
        length: samples of a sequence.
        dt: time between two samples, in the units of the equations: a turn takes about 0.75.
        ahead: samples between the last input and the answer.
    Raises:
        InputError: an argument is out of range.
    """

    tokens = classes = False
    inputs = outputs = 3

    def __init__(self, length: int = 512, dt: float = 0.02, ahead: int = 10) -> None:
        at_least("Lorenz", 1, length=length, ahead=ahead)
        positive("Lorenz", dt=dt)
        self.length, self.dt, self.ahead = length, dt, ahead

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw `size` sequences with `rng`; each starts at a place of its own, long before the first sample."""
        start = np.array([[0.0], [0.0], [25.0]]) + rng.standard_normal((3, size)) * 5
        before = int(np.ceil(_TRANSIENT / self.dt))
        s = lorenz(start, self.dt, before + self.length + self.ahead - 1)[before:].transpose(2, 0, 1)
        s = ((s - _MEAN) / _DEVIATION).astype(np.float32)
        return Batch(s[:, : self.length], s[:, self.ahead :], np.ones((size, self.length), bool))
