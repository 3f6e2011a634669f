"""MNIST-1D: ten shapes of twelve points, stretched, shifted, sheared and buried in noise, as signals of 40 samples.

    template → pad to 36 … 60 more points → 72 points → scale → rotate → fill the silence with smooth noise
             → add white noise → shear → 40 points → divide by the standard deviation of all

A small problem that tells architectures apart: a linear classifier reaches 32 %, a convolution 94 %, people 96 %.

Source: Greydanus and Kobak 2020 (Scaling down deep learning with MNIST-1D, arXiv:2011.14439), section 2 and appendix A;
the heights of the templates and all constants are those of its published data set.
"""

import numpy as np

from statespace.datasets.tasks.base import Batch, Task

# Heights of each digit as one would draw it from the top to the bottom of a page.
_HEIGHTS = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)
_PADDING = (36, 60)
_POINTS = 12 + _PADDING[1]
_LARGEST_SHIFT = 48
_SCALE, _SHEAR, _SMOOTH_NOISE, _WHITE_NOISE = 0.4, 0.75, 0.25, 0.02
_BLUR = 2.0  # of the smooth noise, in points
_SAMPLES = 40
_DEVIATION = 0.1548  # of all samples before the last step


def templates() -> np.ndarray:
    """Return the ten shapes, ``(10, 12)``: each has the same spread and begins at zero."""
    x = _HEIGHTS - _HEIGHTS.mean(1, keepdims=True)
    x /= x.std(1, keepdims=True)
    return np.asarray((x - x[:, :1]) / 6)


def _blurred(noise: np.ndarray) -> np.ndarray:
    """Smooth along the last axis with a Gaussian, reflecting at the ends."""
    reach = int(4 * _BLUR + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _BLUR) ** 2)
    wide = np.pad(noise, [(0, 0), (reach, reach)], mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(wide, 2 * reach + 1, axis=1)
    return np.asarray(windows @ (kernel / kernel.sum()))


def _resampled(x: np.ndarray, points: int) -> np.ndarray:
    """Interpolate linearly along the last axis, end to end."""
    places = np.linspace(0, x.shape[-1] - 1, points)
    left = np.minimum(places.astype(int), x.shape[-1] - 2)
    return np.asarray(x[..., left] + (places - left) * (x[..., left + 1] - x[..., left]))


def _stretched(digits: np.ndarray, padding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shapes over `_POINTS` points with their silence at the end, and where that silence is."""
    shapes = np.pad(templates(), [(0, 0), (0, _PADDING[1])])[digits]  # (b, points)
    ends = 11 + padding[:, None]
    places = np.arange(_POINTS) * ends / (_POINTS - 1)  # in points of the padded shape
    left = np.minimum(places.astype(int), ends - 1)
    rows = np.arange(len(digits))[:, None]
    stretched = shapes[rows, left] + (places - left) * (shapes[rows, left + 1] - shapes[rows, left])
    return stretched, places >= 12


class MNIST1D(Task):
    """Tell which of ten shapes a signal of 40 samples holds; an endless stream, drawn by the published recipe."""

    tokens = False
    per_sequence = True
    inputs, outputs, length = 1, 10, _SAMPLES

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw `size` signals with `rng` by the published recipe."""
        digits = rng.integers(0, 10, size)
        x, silent = _stretched(digits, rng.integers(_PADDING[0], _PADDING[1] + 1, size))
        x *= 1 + _SCALE * (rng.random((size, 1)) - 0.5)
        shift = rng.integers(0, _LARGEST_SHIFT, size)[:, None]
        rows, turned = np.arange(size)[:, None], (np.arange(_POINTS) - shift) % _POINTS
        x, silent = x[rows, turned], silent[rows, turned]
        x = np.where(silent, _blurred(_SMOOTH_NOISE * rng.standard_normal(x.shape)), x)
        x += _WHITE_NOISE * rng.standard_normal(x.shape)
        x -= _SHEAR * (rng.random((size, 1)) - 0.5) * np.linspace(-0.5, 0.5, _POINTS)
        return Batch((_resampled(x, _SAMPLES) / _DEVIATION).astype(np.float32)[..., None], digits)
