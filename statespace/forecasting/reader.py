"""From a table to the tensors that a network takes: columns, frequency, covariates in common units, static table."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from statespace.datasets.frames import Table, as_pandas
from statespace.errors import InputError
from statespace.forecasting.calendar import IRREGULAR, Freq, scaled_freq
from statespace.forecasting.calendar_features import features, names_of
from statespace.forecasting.future import asked_stamps, read_future
from statespace.forecasting.panel import Columns, Panel
from statespace.forecasting.partitioned import read_panel
from statespace.forecasting.scaling import FARTHEST
from statespace.forecasting.static import Static
from statespace.forecasting.together import side_by_side
from statespace.training import Beside


def _tensor(values: np.ndarray | None) -> Tensor | None:
    return None if values is None or not values.shape[1] else torch.as_tensor(values, dtype=torch.float32)


@dataclass(frozen=True)
class Reader:
    """What a forecaster knows of its tables since it was fitted.

    Attributes:
        columns: names of the columns.
        freq: distance between two steps.
        step: of irregular series the typical distance between two rows, in ticks: the unit of time of the network.
        calendar: features of the calendar that are made of the stamps, as covariates known beforehand.
        holidays: countries whose holidays are among them.
        static: how the static table is read.
        location: of each covariate, known up to now, then known beforehand, ``(k + m,)``.
        scale: of each of them.
        together: names of the series trained on, where they inform each other; none where each is alone.
    """

    columns: Columns
    freq: Freq
    step: float = 1.0
    calendar: tuple[str, ...] = ()
    holidays: tuple[str, ...] = ()
    static: Static = field(default_factory=Static)
    location: np.ndarray = field(default_factory=lambda: np.zeros(0))
    scale: np.ndarray = field(default_factory=lambda: np.ones(0))
    together: tuple[Any, ...] = ()

    @classmethod
    def of(
        cls, columns: Columns, series: Panel, calendar: tuple[str, ...], holidays: tuple[str, ...], static: Static
    ) -> "Reader":
        """Read the units of the covariates off the series that are trained on."""
        count = len(columns.hist) + len(columns.futr)
        beside = series.beside[:, :count]
        seen = np.isfinite(beside)
        number = np.maximum(seen.sum(0), 1)
        unit = np.where(seen, np.abs(beside), 0).max(0, initial=0.0)  # no square of a huge value overflows
        unit[unit == 0] = 1.0
        location = np.where(seen, beside / unit, 0).sum(0) / number
        scale = np.sqrt((np.where(seen, beside / unit - location, 0) ** 2).sum(0) / number)
        scale[scale <= 1e-12] = 1.0
        return cls(columns, series.freq, series.step, calendar, holidays, static, location * unit, scale * unit)

    @property
    def sizes(self) -> dict[str, Any]:
        """Numbers of covariates of each kind, as `ForecastNetwork` takes them."""
        return {
            "hist": len(self.columns.hist) + len(self.together),
            "futr": len(self.columns.futr) + len(names_of("Forecaster", self.calendar, self.holidays)),
            "static": len(self.static.mean),
            "categories": [*self.static.sizes, *([len(self.together)] if self.together else [])],
            "together": len(self.together),
        }

    def panel(self, where: str, frame: Table, dt_scale: float = 1.0) -> Panel:
        """Check a table and put its series on the grid that was trained on, or on one `dt_scale` times as wide.

        Raises:
            InputError: the table cannot be used, or the frequency has no such multiple.
        """
        if self.columns.weight is not None:
            frame = as_pandas(where, frame, only=self.columns.all)
            if self.columns.weight not in frame:
                frame = frame.assign(**{self.columns.weight: np.nan})  # weights matter in training alone
        series = read_panel(where, frame, self.columns, scaled_freq(where, self.freq, dt_scale))
        return replace(series, step=self.step * dt_scale) if series.freq == IRREGULAR else series

    def lead(self, where: str, series: Panel, futr: pd.DataFrame | None, steps: int) -> tuple[Panel, list[np.ndarray]]:
        """Append the steps to forecast to the series, with what is known of them beforehand.

        Args:
            where: the function, for messages.
            series: histories.
            futr: covariates of the future; of irregular series the rows whose stamps are to be forecast.
            steps: number of steps.
        Returns:
            The longer series, and the stamps of the steps to forecast of each.
        Raises:
            InputError: `futr` is missing, has holes, or is given where nothing of it is used.
        """
        if futr is not None and not self.columns.futr and series.ticks is None:
            raise InputError(f"{where}: futr_df is given, but futr_exog_list is empty: name the columns to use there.")
        irregular = series.ticks is not None and futr is not None
        stamps = asked_stamps(where, futr, self.columns, series, steps) if irregular else series.stamps_after(steps)
        found = read_future(where, futr, self.columns, series.ids, stamps)
        longer = series.lead(stamps)
        at = len(self.columns.hist)
        ahead = (longer.lengths.cumsum()[:, None] - np.arange(steps, 0, -1)).reshape(-1)
        longer.beside[ahead, at : at + len(self.columns.futr)] = found.reshape(len(ahead), -1)
        return longer, stamps

    def covariates(
        self, where: str, beside: np.ndarray, stamps: Callable[[], pd.Series]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariates of rows in common units: those known up to now, and those known beforehand.

        Args:
            where: the function, for messages.
            beside: of the rows, in the order of `Columns.beside`, ``(rows, columns)``.
            stamps: gives their stamps, which are asked for only if the calendar is.
        """
        hist, count = len(self.columns.hist), len(self.location)
        with np.errstate(over="ignore"):
            units = ((beside[:, :count] - self.location) / self.scale).clip(-FARTHEST, FARTHEST)
        futr = units[:, hist:]
        if self.calendar or self.holidays:
            futr = np.concatenate([futr, features(where, stamps(), self.calendar, self.holidays)], 1)
        return units[:, :hist], futr

    def beside(
        self,
        where: str,
        series: Panel,
        z: np.ndarray,
        static: pd.DataFrame | None = None,
        known: tuple[Tensor | None, Tensor | None] | None = None,
    ) -> Beside:
        """Return what is known beside the values of the series, in common units.

        Args:
            where: the function, for messages.
            series: histories, with or without steps ahead.
            z: their values, scaled, which series that inform each other are told of.
            static: the static table.
            known: its numbers and categories, where they have been read before.
        """
        hist, futr = self.covariates(where, series.beside, lambda: pd.Series(np.concatenate(series.stamps())))
        if self.together:
            hist = np.concatenate([hist, side_by_side(where, series, self.together, z)], 1)
        if known is None:
            found, codes = self.static.read(where, static, self.columns.id, series.ids)
            if self.together:
                own = np.array([self.together.index(name) for name in series.ids])[:, None]
                codes = own if codes is None else np.concatenate([codes, own], 1)
            known = _tensor(found), None if codes is None else torch.as_tensor(codes)
        weight = series.beside[:, -1] if self.columns.weight is not None else None
        return Beside(
            _tensor(hist),
            _tensor(futr),
            *known,
            None if series.ticks is None else torch.as_tensor(series.between() / self.step, dtype=torch.float32),
            None if weight is None else torch.as_tensor(weight, dtype=torch.float32),
        )
