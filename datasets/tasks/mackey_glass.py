"""Mackey-Glass: a chaotic series that a delay makes, to be predicted some steps ahead.

    x'(t) = beta x(t - tau) / (1 + x(t - tau)^n) - gamma x(t),        beta = 0.2, gamma = 0.1, n = 10

Within one delay the first term is known, and the rest is linear: with the term linear between two grid points, the
solution over the whole delay is a sum of exponentials (the method of steps). The error falls as the square of the grid.

Source: Mackey and Glass, Science 197, 1977, 287-289, equation (4b); tau = 17 and the prediction are those of Jaeger and
Haas, Science 304, 2004, 78-80.
"""

import numpy as np

from statespace.datasets.tasks.base import Batch, Task
from statespace.errors import InputError, at_least

_BETA, _GAMMA, _POWER = 0.2, 0.1, 10
_GRID = 20  # points in a unit of time
_TRANSIENT = 300  # units of time until the beginning is forgotten at tau = 17, and as many delays at longer ones
_LONGEST = 300  # beyond this delay, what was constant stays so for longer
_MEAN, _DEVIATION = 0.93, 0.23  # of the series at tau = 17


def mackey_glass(history: np.ndarray, delay: int, steps: int) -> np.ndarray:
    """Solve the equation.

    Args:
        history: the value before time 0, constant, ``(b,)``.
        delay: tau, in units of time.
        steps: units of time to solve for.
    Returns:
        The solution at times ``1 / 20, 2 / 20 … steps``, ``(b, 20 steps)``.
    """
    count = delay * _GRID
    h = _GAMMA / _GRID
    # A term that runs linearly from f_0 to f_1 over a step adds (w_0 f_0 + w_1 f_1) / gamma to the solution.
    last = 1 + np.expm1(-h) / h
    first = -np.expm1(-h) - last
    decay = np.exp(-h * np.arange(1, count + 1))
    windows = [np.repeat(history[:, None], count + 1, axis=1)]
    for _ in range(-(-steps // delay)):
        past = windows[-1]
        f = _BETA * past / (1 + past**_POWER)
        added = (first * f[:, :-1] + last * f[:, 1:]) / _GAMMA
        window = decay * (past[:, -1:] + np.cumsum(added / decay, axis=1))
        windows.append(np.concatenate([past[:, -1:], window], axis=1))
    return np.concatenate([window[:, 1:] for window in windows[1:]], axis=1)[:, : steps * _GRID]


class MackeyGlass(Task):
    """Predict a chaotic series.

    Args:
        length: samples of a sequence, one a unit of time.
        delay: tau of the equation, in samples, up to 300; chaos begins at 17.
        ahead: samples between the last input and the answer.
    Raises:
        InputError: an argument is out of range.
    """

    tokens = classes = False
    inputs = outputs = 1

    def __init__(self, length: int = 512, delay: int = 17, ahead: int = 15) -> None:
        at_least("MackeyGlass", 1, length=length, delay=delay, ahead=ahead)
        if delay > _LONGEST:
            raise InputError(
                f"MackeyGlass: delay is {delay}, but at most {_LONGEST} is expected: at a longer one, a series that "
                "starts from a constant keeps to constants for all of the transient."
            )
        self.length, self.delay, self.ahead = length, delay, ahead

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw `size` sequences with `rng`; each starts from a constant of its own, long before the first sample."""
        transient = _TRANSIENT * max(self.delay, 17) // 17
        steps = transient + self.length + self.ahead
        x = mackey_glass(rng.uniform(0.5, 1.3, size), self.delay, steps)[:, _GRID - 1 :: _GRID][:, transient:]
        x = ((x - _MEAN) / _DEVIATION).astype(np.float32)[..., None]
        return Batch(x[:, : self.length], x[:, self.ahead :], np.ones((size, self.length), bool))
