"""What is done to the values of each series before a network sees them, and undone after: transform and scale.

    z = (f(y) - μ) / σ,   f = log, a power or identity,   μ, σ of the series' observed values, in float64

The scale (see `scalers`) keeps float32 from rounding a small change on a large level away. The logarithm and powers
(see `boxcox`) are for series whose swings grow with their level; whether they do is read off the data.

Source: Bartlett, Biometrics 3(1), 1947, 39-52: if the spread grows as the level to the power b, then y^(1-b)
stabilises it, and b = 1 asks for the logarithm.
"""

from dataclasses import dataclass, replace

import numpy as np

from statespace.errors import InputError, choose
from statespace.forecasting import boxcox
from statespace.forecasting.scalers import SCALERS

FARTHEST = 1e15  # scales: what is farther away counts as that far, so that squares of it are numbers in float32
_EXPONENT = 0.5  # nearer to 1, the logarithm, than to 0, the identity
_LARGEST = np.finfo(np.float64).max
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


def expect_positive(where: str, values: np.ndarray, lengths: np.ndarray, ids: list[object], what: str) -> None:
    """Check that all values are positive.

    Args:
        where: the function, for the message.
        values: all series one behind the other, NaN in gaps.
        lengths: steps of each series.
        ids: names of the series, for the message.
        what: what needs positive values, for the message.
    Raises:
        InputError: a value is not; the message names its series.
    """
    wrong = np.isfinite(values) & (np.nan_to_num(values, nan=1.0) <= 0)
    if wrong.any():
        row = int(wrong.argmax())
        series = int(np.searchsorted(lengths.cumsum(), row, side="right"))
        raise InputError(
            f"{where}: series {ids[series]!r} holds {values[row]}, but {what} needs positive values: "
            "use transform='none'."
        )


def _transformed(values: np.ndarray, log: bool, power: float | None) -> np.ndarray:
    return boxcox.forward(values, power or 0.0) if log or power is not None else values


@dataclass(frozen=True)
class Scaling:
    """Logarithm, power or neither, and location and scale of each series.

    Attributes:
        log: whether the logarithm is taken first.
        location: ``(series,)``, float64.
        scale: ``(series,)``, float64; 0 for a constant series, which is forecast as constant.
        power: the exponent of Box and Cox, where their transform is taken first.
    """

    log: bool
    location: np.ndarray
    scale: np.ndarray
    power: float | None = None

    @classmethod
    def of(
        cls,
        where: str,
        values: np.ndarray,
        lengths: np.ndarray,
        log: bool,
        ids: list[object],
        scaler_type: str = "standard",
        power: float | None = None,
        others: np.ndarray | None = None,
    ) -> "Scaling":
        """Read location and scale off the series.

        Args:
            where: the function, for the message.
            values: all series one behind the other, NaN in gaps.
            lengths: steps of each series.
            log: whether to take logarithms.
            ids: names of the series, for the message.
            scaler_type: ``"standard"``, ``"robust"``, ``"minmax"`` or ``"none"``; see `scalers`.
            power: the exponent of Box and Cox, as `boxcox.best_power` finds it; None for none.
            others: scales of other series, for a single value where none of these series has a spread.
        Raises:
            InputError: a logarithm or a power is asked for and a value is not positive, or `scaler_type` is not known.
        """
        choose(where, "scaler_type", scaler_type, SCALERS)
        if log or power is not None:
            expect_positive(where, values, lengths, ids, "the logarithm" if power is None else "transform='boxcox'")
        series = np.repeat(np.arange(len(lengths)), lengths)
        seen = np.isfinite(values)
        scaler = SCALERS[scaler_type]
        if scaler is None:
            return cls(log, np.zeros(len(lengths)), np.ones(len(lengths)), power)
        z = _transformed(values, log, power)
        one, of = z[seen], series[seen]
        # In units of the largest value: no sum or square overflows or vanishes, and a constant is exact.
        unit = np.zeros(len(lengths))
        np.maximum.at(unit, of, np.abs(one))
        unit[unit == 0] = 1.0
        count = np.bincount(of, minlength=len(lengths))
        location, scale = scaler(one / unit[of], of, count)
        scale[scale <= 1e-12 * np.abs(location)] = 0.0  # a spread at the level of rounding is none
        with np.errstate(over="ignore"):
            location, scale = location * unit, np.minimum(scale * unit, _LARGEST)
        # A single value tells nothing of the spread: it is taken from the others.
        known = scale if others is None or (scale > 0).any() else others
        if (count == 1).any() and (known > 0).any():
            scale[count == 1] = 2 * np.median(known[known > 0] / 2)  # which cannot overflow
        return cls(log, location, scale, power)

    @property
    def transforms(self) -> bool:
        """Whether anything but location and scale is taken off the values."""
        return self.log or self.power is not None

    def of_series(self, which: np.ndarray) -> "Scaling":
        """Return the scaling of some of the series, by their places."""
        return replace(self, location=self.location[which], scale=self.scale[which])

    def forward(self, values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Scale series that lie one behind the other; gaps stay NaN."""
        z = _transformed(values, self.log, self.power)
        location, scale = np.repeat(self.location, lengths), np.repeat(self.scale, lengths)
        # Halved, so that the difference of two huge values does not overflow.
        return np.asarray((z / 2 - location / 2) / np.where(scale > 0, scale / 2, 1.0))

    def forward_unseen(self, values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Scale as `forward` values that the scale has not been taken from, up to `FARTHEST` either way."""
        with np.errstate(over="ignore"):
            return self.forward(values, lengths).clip(-FARTHEST, FARTHEST)

    def backward(self, z: np.ndarray) -> np.ndarray:
        """Bring ``(series, …)`` back to the units of the data, as far as they have numbers."""
        shape = (-1,) + (1,) * (z.ndim - 1)
        with np.errstate(over="ignore"):
            y = np.asarray(z * self.scale.reshape(shape) + self.location.reshape(shape))
        if self.transforms:
            return boxcox.inverse(y, self.power or 0.0)
        return y.clip(-_LARGEST, _LARGEST)
