"""Series that are zero most of the time, and what forecasts them."""

import warnings

import numpy as np

_MANY = 0.3  # of the values


def note_zeros(where: str, values: np.ndarray, season: int) -> None:
    """Warn where so many values are zero that quantiles without a distribution do not hold them.

    A lower end a little above zero leaves out all zeros, and a distribution that knows of zeros has none of that. Zeros
    that come back with the season, as of solar power, or in long stretches, are forecast as other values are.

    Args:
        where: the function that was called, for the message.
        values: of all series, one behind the other, NaN in gaps.
        season: steps in a season, 1 where there is none.
    """
    seen = values[np.isfinite(values)]
    zeros = float((seen == 0).mean()) if len(seen) else 0.0
    before = values[:-season] == 0
    again = float((values[season:][before] == 0).mean()) if before.any() else 0.0
    if _MANY <= zeros < 1 and (seen >= 0).all() and again < (1 + zeros) / 2:
        counts = bool((seen == np.trunc(seen)).all())
        kind = "'negative-binomial', for counts," if counts else "'tweedie', for amounts,"
        warnings.warn(
            f"{where}: {100 * zeros:.0f} % of the values are zero, and none is below: distribution={kind} forecasts "
            "zeros as such; the bands of 'quantile' may end a little above them.",
            stacklevel=5,
        )
