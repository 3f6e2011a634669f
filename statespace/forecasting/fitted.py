"""What a `Forecaster` has once it is fitted, how it forecasts with that, and how it is stored as plain data."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statespace.forecasting.live import Live
from statespace.forecasting.panel import Columns, Panel
from statespace.forecasting.reader import Reader
from statespace.forecasting.scaling import Scaling
from statespace.forecasting.stamps import as_plain, from_plain
from statespace.forecasting.static import Static
from statespace.models import ForecastNetwork, History
from statespace.models.outputs.levels import between
from statespace.training import Beside, WindowSource, threads_for

BATCH = 1024  # windows that are forecast at once


@dataclass(frozen=True)
class Quantiles:
    """A forecast in the units of the data.

    Attributes:
        values: at the levels `QUANTILES`, ``(series, steps, len(QUANTILES))``, ascending.
        trained_mean: as the network puts it out, ``(series, steps)``; None where the data were transformed, since
            the mean of what is transformed back is another one.
        scaled: as the network puts them out, of the shape of `values`.
        scaling: which brings these back to the units of the data.
    """

    values: np.ndarray
    trained_mean: np.ndarray | None
    scaled: np.ndarray
    scaling: Scaling

    @property
    def mean(self) -> np.ndarray:
        """The mean, ``(series, steps)``: as trained, or the area under the quantile function."""
        if self.trained_mean is not None:
            return self.trained_mean
        u = (torch.arange(200, dtype=torch.float64) + 0.5) / 200  # the middles of 200 equal parts of (0, 1)
        return np.asarray(between(torch.as_tensor(self.values)[..., None, :], u).mean(-1))


@dataclass(frozen=True)
class Fitted:
    """What a fitted forecaster has.

    Attributes:
        network: trained, in evaluation mode.
        reader: how tables are read.
        history: the end of the series trained on, as far as a window reaches.
        static: numbers and categories of these series.
        scaling: of these series.
        correlation: of forecast errors over the horizon, ``(h, h)``, for sample paths.
        made_with: arguments of the forecaster that network and reader were made with, by name.
    """

    network: ForecastNetwork
    reader: Reader
    history: Panel
    static: tuple[Tensor | None, Tensor | None]
    scaling: Scaling
    correlation: np.ndarray
    made_with: dict[str, Any]

    def numbers(self, names: Sequence[Any]) -> np.ndarray:
        """Return the numbers of series among those trained on, ``(series,)``, -1 for others."""
        number = {name: place for place, name in enumerate(self.history.ids)}
        return np.array([number.get(name, -1) for name in names])

    def known_units(self, number: np.ndarray, scaling: Scaling) -> Scaling:
        """Return the scaling of series, where those trained on keep theirs: a short history does not tell the level."""
        keeps = (number >= 0) & (self.scaling.scale[number] > 0)  # a constant one has none
        location = np.where(keeps, self.scaling.location[number], scaling.location)
        return replace(scaling, location=location, scale=np.where(keeps, self.scaling.scale[number], scaling.scale))

    def source(self, series: Panel, scaling: Scaling, beside: Beside, length: int, h: int) -> WindowSource:
        """Return the series as windows of the network are cut from them, scaled."""
        z = torch.as_tensor(scaling.forward_unseen(series.values, series.lengths), dtype=torch.float32)
        return WindowSource(z, torch.as_tensor(series.lengths), length, h, beside)

    def window(self, series: Panel, scaling: Scaling, beside: Beside) -> History:
        """Return the last window of each series."""
        source = self.source(series, scaling, beside, self.network.input_size, 0)
        return source.cut(torch.arange(len(series)), source.ends).past

    def goes_on(self) -> Live:
        """Return the series trained on as they go on."""
        z = self.scaling.forward_unseen(self.history.values, self.history.lengths)
        beside = self.reader.beside("Forecaster", self.history, z, None, self.static)
        beside = beside._replace(number=torch.arange(len(self.history)))
        return Live(self.network, self.window(self.history, self.scaling, beside))

    def forecast_live(self, live: Live, ahead: Beside, steps: int) -> "Quantiles":
        """Forecast the series trained on from the states that are carried; see `forecast`.

        Args:
            live: the states.
            ahead: what is known of history and steps to forecast, as of the series with these steps appended.
            steps: number of steps.
        """
        ends = torch.as_tensor(self.history.lengths + steps).cumsum(0)
        at = ends[:, None] + torch.arange(-steps, 0)
        none = torch.empty(len(at), 0)
        futr = None if ahead.futr is None else ahead.futr[at]
        known = None if futr is None else torch.ones(at.shape)
        dt = None if ahead.dt is None else ahead.dt[at]
        found = live.forecast(steps, History(none, none, futr=futr, futr_known=known, dt=dt))
        silent = live.past.observed.sum(1) == 0
        return self.in_units(
            self.scaling,
            found.quantiles.masked_fill(silent[:, None, None], torch.nan),
            found.mean.masked_fill(silent[:, None], torch.nan),
        )

    @staticmethod
    def in_units(scaling: Scaling, quantiles: Tensor, mean: Tensor) -> "Quantiles":
        """Bring what the network forecasts back to the units of the data."""
        scaled = quantiles.double().numpy()
        trained_mean = None if scaling.transforms else scaling.backward(mean.double().numpy())
        return Quantiles(scaling.backward(scaled), trained_mean, scaled, scaling)

    def forecast(
        self, series: Panel, scaling: Scaling, beside: Beside, steps: int, dt_scale: float = 1.0
    ) -> "Quantiles":
        """Forecast the last `steps` steps of series that end with them.

        Args:
            series: histories and the steps to forecast.
            scaling: of these series.
            beside: what is known beside them.
            steps: number of steps.
            dt_scale: time between two steps in units of that in training.
        Returns:
            Quantiles and means in the units of the data; NaN for a series without observations.
        """
        length = max(1, round(self.network.input_size / dt_scale))
        rate = dt_scale if beside.dt is None else 1.0  # what the stamps say of the time need not be said again
        source = self.source(series, scaling, beside, length, steps)
        quantiles, means = [], []
        work = min(len(series), BATCH) * length * self.network.embed.out_features
        with torch.inference_mode(), threads_for(work):
            for part in torch.arange(len(series)).split(BATCH):
                window = source.cut(part, source.ends[part] - steps)
                found = self.network(window.past, steps, rate)
                silent = window.past.observed.sum(1) == 0
                quantiles.append(found.quantiles.masked_fill(silent[:, None, None], torch.nan))
                means.append(found.mean.masked_fill(silent[:, None], torch.nan))
        return self.in_units(scaling, torch.cat(quantiles), torch.cat(means))


def stored(fitted: Fitted) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what is fitted as a description that JSON holds, and tensors by name."""
    network, reader, history = fitted.network, fitted.reader, fitted.history
    tensors = {f"model.{name}": value for name, value in network.state_dict().items()}
    arrays = {
        "history.values": history.values,
        "history.lengths": history.lengths,
        "history.beside": history.beside,
        "scaling.location": fitted.scaling.location,
        "scaling.scale": fitted.scaling.scale,
        "reader.location": reader.location,
        "reader.scale": reader.scale,
        "correlation": fitted.correlation,
    }
    if history.ticks is not None:
        arrays["history.ticks"] = history.ticks
    tensors |= {name: torch.as_tensor(value) for name, value in arrays.items()}
    tensors |= {
        f"static.{name}": value
        for name, value in zip(("numbers", "codes"), fitted.static, strict=True)
        if value is not None
    }
    description = {
        "input_size": network.input_size,
        "linear": network.linear is not None,
        "features": 0 if network.linear is None or network.linear.bank is None else network.linear.bank.features,
        "own": 0 if network.linear is None else len(network.linear.own),
        "log": fitted.scaling.log,
        "power": fitted.scaling.power,
        "freq": reader.freq,
        "step": reader.step,
        "static": asdict(reader.static) if reader.static.names else None,
        "ids": as_plain(history.ids),
        "last": as_plain(history.last),
    }
    return description, tensors


def unstored(
    description: dict[str, Any],
    tensors: dict[str, Tensor],
    columns: Columns,
    calendar: tuple[str, ...],
    holidays: tuple[str, ...],
    made_with: dict[str, Any],
    make: Callable[[int, bool, int, Reader, int], ForecastNetwork],
) -> Fitted:
    """Return what `stored` gave in its own form.

    Args:
        description: the description.
        tensors: the tensors.
        columns: names of the columns.
        calendar: features of the calendar.
        holidays: countries whose holidays are among them.
        made_with: arguments of the forecaster.
        make: gives the network for an input size, with a linear path or without, for a number of features in it, for
            covariates as they are read, and for a number of series with a linear path of their own.
    Raises:
        KeyError, TypeError, ValueError, RuntimeError, AttributeError: something is missing or of another kind.
    """
    static = Static()
    if description["static"] is not None:
        static = Static(**description["static"] | {"names": tuple(description["static"]["names"])})
    arrays = {
        name: value.numpy() for name, value in tensors.items() if not name.startswith(("model.", "static.", "live."))
    }
    units = arrays["reader.location"], arrays["reader.scale"]
    together = tuple(description["ids"]) if made_with["multivariate"] else ()
    step = float(description["step"])
    reader = Reader(columns, description["freq"], step, calendar, holidays, static, *units, together)
    shape = description["input_size"], description["linear"], description["features"]
    made = make(*shape, reader, description["own"])
    # One row, or one for each series as well.
    made.effect = made.effect.new_zeros(len(tensors["model.effect"]), made.effect.shape[1])
    made.load_state_dict(
        {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    )
    history = Panel(
        description["ids"],
        arrays["history.values"],
        arrays["history.lengths"],
        from_plain(description["last"]),
        description["freq"],
        arrays["history.beside"],
        arrays.get("history.ticks"),
        float(description["step"]),
    )
    scaling = Scaling(description["log"], arrays["scaling.location"], arrays["scaling.scale"], description["power"])
    known = tensors.get("static.numbers"), tensors.get("static.codes")
    return Fitted(made.eval(), reader, history, known, scaling, arrays["correlation"], made_with)
