"""What a forecaster is told of each series: its past values, and what is known beside them."""

from typing import NamedTuple

import torch
from torch import Tensor


class History(NamedTuple):
    """A batch of windows of `l` steps, and `h` steps after them of which some things are known beforehand.

    Attributes:
        x: values, ``(b, l)``, zero where nothing was observed.
        observed: 1 where a value was observed, else 0, ``(b, l)``.
        hist: covariates that are known up to now, ``(b, l, k)``, zero where they are missing; None for none.
        hist_observed: 1 where they are there, ``(b, l, k)``.
        futr: covariates that are known beforehand, ``(b, l + h, m)``; None for none.
        futr_known: 1 at the steps where they are there, ``(b, l + h)``.
        static: numbers that belong to the series, ``(b, s)``; None for none.
        codes: their categories, ``(b, c)``, int64; None for none.
        dt: time since the step before, in units of the step that was trained on, ``(b, l + h)``; None for 1.
        series: its number among the series trained on, ``(b,)``, int64, -1 for others; None where none is one of them.
    """

    x: Tensor
    observed: Tensor
    hist: Tensor | None = None
    hist_observed: Tensor | None = None
    futr: Tensor | None = None
    futr_known: Tensor | None = None
    static: Tensor | None = None
    codes: Tensor | None = None
    dt: Tensor | None = None
    series: Tensor | None = None

    def then(self, y: Tensor, observed: Tensor) -> "History":
        """Return the windows as they are `n` steps later, where `y` ``(b, n)`` has come; as long as before."""
        n, length = y.shape[1], self.x.shape[1]

        def after(part: Tensor | None) -> Tensor | None:
            return None if part is None else part[:, n:]

        def unknown(part: Tensor | None) -> Tensor | None:
            return (
                None if part is None else torch.cat([part, part.new_zeros(len(part), n, part.shape[2])], 1)[:, -length:]
            )

        return self._replace(
            x=torch.cat([self.x, y], 1)[:, -length:],
            observed=torch.cat([self.observed, observed], 1)[:, -length:],
            hist=unknown(self.hist),
            hist_observed=unknown(self.hist_observed),
            futr=after(self.futr),
            futr_known=after(self.futr_known),
            dt=after(self.dt),
        )
