"""What is done to the values of each series before a network sees them, and undone after: logarithm and scale.

    z = (f(y) - μ) / σ,   f = log or identity,   μ, σ of the series' observed values, in float64

The scale keeps float32 from rounding a small change on a large level away. The logarithm is for series whose swings
grow with their level; whether they do is read off the data.

Source: Bartlett, Biometrics 3(1), 1947, 39-52: if the spread grows as the level to the power b, then y^(1-b)
stabilises it, and b = 1 asks for the logarithm.
"""

from dataclasses import dataclass, replace

import numpy as np

from statespace.errors import InputError

_EXPONENT = 0.5  # nearer to 1, the logarithm, than to 0, the identity
_PIECES = 4  # fewer levels than this do not show how the spread grows


def _growth(values: np.ndarray, piece: int) -> float | None:
    """Return the exponent b in spread ∝ level^b over pieces of a series, ``None`` where it cannot be told."""
    count = len(values) // piece
    if count < _PIECES or np.isnan(values).all():
        return None
    pieces = values[len(values) - count * piece :].reshape(count, piece) / np.nanmax(values)  # no square overflows
    pieces = pieces[np.isfinite(pieces).all(1)]
    if len(pieces) < _PIECES:
        return None
    level, spread = pieces.mean(1), pieces.std(1)
    if (spread <= 0).any() or level.std() < 0.1 * level.mean():
        return None
    return float(np.polyfit(np.log(level), np.log(spread), 1)[0])


def wants_log(values: np.ndarray, lengths: np.ndarray, piece: int) -> bool:
    """Tell whether the spread of most series grows with their level.

    Args:
        values: all series one behind the other, NaN in gaps.
        lengths: steps of each series.
        piece: steps over which level and spread are taken: a season.
    Returns:
        False as soon as one value is not positive.
    """
    if not (values[np.isfinite(values)] > 0).all():
        return False
    growths = [_growth(series, piece) for series in np.split(values, lengths.cumsum()[:-1])]
    told = [growth for growth in growths if growth is not None]
    return bool(told) and float(np.median(told)) > _EXPONENT


@dataclass(frozen=True)
class Scaling:
    """Logarithm or not, and location and scale of each series.

    Attributes:
        log: whether the logarithm is taken first.
        location: ``(series,)``, float64.
        scale: ``(series,)``, float64; 0 for a constant series, which is forecast as constant.
    """

    log: bool
    location: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, where: str, values: np.ndarray, lengths: np.ndarray, log: bool, ids: list[object]) -> "Scaling":
        """Read location and scale off the series.

        Args:
            where: the function, for the message.
            values: all series one behind the other, NaN in gaps.
            lengths: steps of each series.
            log: whether to take logarithms.
            ids: names of the series, for the message.
        Raises:
            InputError: a logarithm is asked for and a value is not positive.
        """
        series = np.repeat(np.arange(len(lengths)), lengths)
        seen = np.isfinite(values)
        if log and (values[seen] <= 0).any():
            row = int((seen & (np.nan_to_num(values, nan=1.0) <= 0)).argmax())
            raise InputError(
                f"{where}: series {ids[series[row]]!r} holds {values[row]}, but the logarithm needs positive values: "
                "use transform='none'."
            )
        z = np.log(values) if log else values
        one, of = z[seen], series[seen]
        low, high = np.full(len(lengths), np.inf), np.full(len(lengths), -np.inf)
        np.minimum.at(low, of, one)
        np.maximum.at(high, of, one)
        # In units of the largest value: no sum or square overflows or vanishes, and a constant is exact.
        unit = np.maximum(np.abs(low), np.abs(high))
        unit[(unit == 0) | np.isinf(unit)] = 1.0
        count = np.bincount(of, minlength=len(lengths))
        location = np.bincount(of, one / unit[of], len(lengths)) / np.maximum(count, 1)
        centred = one / unit[of] - location[of]
        scale = np.sqrt(np.bincount(of, centred**2, len(lengths)) / np.maximum(count, 1))
        scale[scale <= 1e-12 * np.abs(location)] = 0.0  # a spread at the level of rounding is none
        location, scale = location * unit, scale * unit
        # A single value tells nothing of the spread: it is taken from the others.
        if (count == 1).any() and (scale > 0).any():
            scale[count == 1] = np.median(scale[scale > 0])
        return cls(log, location, scale)

    def of_series(self, which: np.ndarray) -> "Scaling":
        """Return the scaling of some of the series, by their places."""
        return replace(self, location=self.location[which], scale=self.scale[which])

    def forward(self, values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Scale series that lie one behind the other; gaps stay NaN."""
        z = np.log(values) if self.log else values
        location, scale = np.repeat(self.location, lengths), np.repeat(self.scale, lengths)
        # Halved, so that the difference of two huge values does not overflow.
        return np.asarray((z / 2 - location / 2) / np.where(scale > 0, scale / 2, 1.0))

    def backward(self, z: np.ndarray) -> np.ndarray:
        """Bring ``(series, …)`` back to the units of the data, as far as they have numbers."""
        shape = (-1,) + (1,) * (z.ndim - 1)
        largest = np.finfo(np.float64).max
        with np.errstate(over="ignore"):
            y = np.asarray(z * self.scale.reshape(shape) + self.location.reshape(shape))
        return np.exp(np.minimum(y, np.log(largest))) if self.log else y.clip(-largest, largest)
