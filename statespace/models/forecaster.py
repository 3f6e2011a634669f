"""A forecaster on a state space backbone: the forecast is the system that runs on with nothing observed.

    x̂       = (x - F_p β - μ) / s                      each window normalised by its own observed values
    u_t     = W_e [x̂_t, observed_t, covariates_t]      t = 1 … l, and on to l + h with x̂ = 0, observed = 0
    z       = Backbone(u)                              nothing enters a state in a gap
    r_j     = W_o z_{l+j} + e (W_s x̂)_j + r⁰_j         j = 1 … h, e the first of the numbers that an output takes
    q_j     = Output(r_j, μ + F_j β, s)                quantiles that never cross, or a distribution

So covariates of the future F, unequal steps, any horizon and a carried state need no parts of their own. The linear
path `W_s`, the spread `r⁰` and what covariates add in a straight line, `β`, may start at a forecast that is hard to
beat on short series, such as exponential smoothing; training learns what differs. A linear path by itself starts as
the seasonal naive forecast with drift.

Source: Gu, Gupta, Goel, Ré 2022 (arXiv:2206.11893) for the backbone; Wen et al. 2017 (arXiv:1711.11053), section 3,
for multi-horizon quantiles; Salinas, Flunkert, Gasthaus 2017 (arXiv:1704.04110), section 3, for covariates over past
and future.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from statespace.errors import InputError, choose
from statespace.models.across_path import MOST_SERIES, AcrossPath
from statespace.models.backbone import Backbone
from statespace.models.history import History
from statespace.models.instance_norm import NORMS, REVERSIBLE, Normalised, Reversible, normalise
from statespace.models.linear_path import LinearPath
from statespace.models.outputs import Output, Quantile
from statespace.models.outputs.levels import MIDDLE, QUANTILES
from statespace.shapes import expect


class Forecast(NamedTuple):
    """What is forecast, in the units of the windows.

    Attributes:
        quantiles: at the levels `QUANTILES`, ``(b, h, len(QUANTILES))``, ascending.
        mean: ``(b, h)``.
    """

    quantiles: Tensor
    mean: Tensor


class Raw(NamedTuple):
    """What the network puts out before an output reads it.

    Attributes:
        raw: ``(b, h, parameters)``.
        location: of each window, ``(b, 1)``.
        scale: of each window, ``(b, 1)``.
        unit: in which its errors count, ``(b, 1)``: what the scale was before a learnt one; None for the scale.
    """

    raw: Tensor
    location: Tensor
    scale: Tensor
    unit: Tensor | None = None


def _ascending(quantiles: Tensor) -> Tensor:
    """Move quantiles that would cross out to their neighbour nearer to the median."""
    above = quantiles[..., MIDDLE:].cummax(-1).values
    below = quantiles[..., : MIDDLE + 1].flip(-1).cummin(-1).values.flip(-1)
    return torch.cat([below, above[..., 1:]], dim=-1)


class ForecastNetwork(nn.Module):
    """Forecast the values after a window, and how sure they are.

    The buffer `offsets`, ``(h, len(QUANTILES))``, in units of the window's scale, widens or narrows the trained
    quantiles after training (see `forecasting.conformal`); it starts at zero. What training starts from,
    `begin`, ``(h + input_size, parameters)``, is added to all that the head puts out, counted from the last value that
    was observed: behind a gap the bands are as wide as they are so many steps later. Of a window that begins with
    its last 1, 2, … steps the bands are `wider`, ``(input_size,)``, by as many times (see `forecasting.late_windows`).

    Args:
        h: horizon to train for, in steps.
        input_size: length of the window, in steps.
        layer: name of the backbone's layer, a key of `statespace.layers.LAYERS`, or a list of names.
        d_model: number of channels.
        n_layers: number of blocks.
        d_state: order of each system.
        mixing: ``"glu"``, ``"gated"``, ``"none"``, or ``"auto"``: none for a layer that mixes the channels itself, glu
            for the others.
        dropout: probability of dropping, in [0, 1).
        season_length: steps in a season, for the start of the linear path; 1 where there is none.
        drift: share of the mean change from season to season in the start of the linear path, 0 to 1.
        output: what the network puts out; by default quantiles.
        scaler: how windows are normalised, one of `statespace.models.instance_norm.NORMS`, or ``"reversible"``:
            standard, with a learnt scale and shift; an output of counts or other positive values takes ``"scale"``.
        hist: number of covariates that are known up to now.
        futr: number of covariates that are known beforehand.
        static: number of numbers that belong to a series.
        categories: number of different values of each category that belongs to a series.
        linear: whether there is a linear path, which wants a regular grid.
        features: number of features of random systems in the linear path.
        series: number of series that have a part of their own in the linear path.
        together: number of series that inform each other, whose values are the last covariates that are known up to
            now, and whose names are the last category; 0 where each is alone.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    offsets: Tensor
    begin: Tensor
    effect: Tensor
    wider: Tensor
    scaler: str | Reversible

    def __init__(
        self,
        h: int,
        input_size: int,
        layer: str | Sequence[str] = "s4d",
        d_model: int = 32,
        n_layers: int = 2,
        d_state: int = 64,
        mixing: str = "auto",
        dropout: float = 0.1,
        season_length: int = 1,
        drift: float = 0.0,
        output: Output | None = None,
        scaler: str = "standard",
        hist: int = 0,
        futr: int = 0,
        static: int = 0,
        categories: Sequence[int] = (),
        linear: bool = True,
        features: int = 0,
        series: int = 0,
        together: int = 0,
    ) -> None:
        super().__init__()
        for name, value in {"h": h, "input_size": input_size, "season_length": season_length}.items():
            if value < 1:
                raise InputError(f"ForecastNetwork: {name} is {value}, but a number of steps from 1 on is expected.")
        self.h, self.input_size = h, input_size
        self.output = Quantile() if output is None else output
        scaler = choose("ForecastNetwork", "scaler", scaler, (*NORMS, REVERSIBLE))
        scaler = "scale" if self.output.positive else scaler
        self.scaler = Reversible() if scaler == REVERSIBLE else scaler
        self.hist, self.futr, self.static = hist, futr, static
        # Beside each covariate of the past stands whether it is there; those of the future come together or not at all.
        self.embed = nn.Linear(2 + 2 * hist + (futr + 1 if futr else 0), d_model)
        self.embed_static = nn.Linear(static, d_model, bias=False) if static else None
        self.embed_codes = nn.ModuleList([nn.Embedding(count, d_model) for count in categories])
        self.backbone = Backbone(d_model, n_layers, layer, d_state, mixing, dropout)
        self.head = nn.Linear(d_model, self.output.parameters)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.constant_(self.head.bias, 0.0)
        self.linear = LinearPath(input_size, h, season_length, drift, features, series) if linear else None
        read_across = linear and 0 < together <= MOST_SERIES and not self.output.positive
        self.across = AcrossPath(together, input_size, h) if read_across else None
        self.register_buffer("offsets", torch.zeros(h, len(QUANTILES)))
        self.register_buffer("begin", torch.zeros(h + input_size, self.output.parameters))
        self.register_buffer("effect", torch.zeros(1, futr))
        self.register_buffer("wider", torch.ones(input_size))

    def begin_at(self, weight: Tensor, spread: Tensor, effect: Tensor) -> None:
        """Start at a linear forecast of a spread that is known.

        Args:
            weight: from the normalised window to the horizon, ``(h, input_size)``.
            spread: standard deviation of each step in units of the window's scale, ``(h + input_size,)``.
            effect: what each covariate that is known beforehand adds to a value, ``(1, futr)``, or with a row for each
                series behind the one for all others, ``(1 + series, futr)``; ``(1, 0)`` for nothing.
        """
        if self.linear is not None:
            self.linear.begin_at(weight)
            self.begin = self.output.begin(spread.to(self.begin))
            if effect.shape[1]:
                self.effect = effect.to(self.effect)

    def added(self, futr: Tensor, series: Tensor | None = None) -> Tensor:
        """Return what covariates ``(b, n, futr)`` add to the values of series ``(b,)``, ``(b, n)``; see `History`."""
        if series is None or len(self.effect) == 1:
            return futr @ self.effect[0]
        return (futr @ self.effect[series + 1][..., None])[..., 0]

    def bare(self, past: History) -> Tensor:
        """Return values without what covariates add to them, ``(b, l)``."""
        if past.futr is None:
            return past.x
        return past.x - self.added(past.futr[:, : past.x.shape[1]], past.series) * past.observed

    def rows(self, x: Tensor, past: History) -> tuple[Tensor, Tensor]:
        """Return what is known at each step of the past, and where anything enters the backbone.

        Args:
            x: normalised values, ``(b, l)``.
            past: all else.
        Returns:
            ``(b, l, channels)`` and ``(b, l)``, whether anything is known.
        """
        channels, known = [torch.stack([x, past.observed], -1)], past.observed > 0
        if past.hist is not None and past.hist_observed is not None:
            channels += [past.hist, past.hist_observed]
            known = known | (past.hist_observed > 0).any(-1)
        if past.futr is not None and past.futr_known is not None:
            length = x.shape[1]
            channels += [past.futr[:, :length], past.futr_known[:, :length, None]]
            known = known | (past.futr_known[:, :length] > 0)
        return torch.cat(channels, -1) if len(channels) > 1 else channels[0], known

    def questions(self, steps: int, like: Tensor, futr: Tensor | None, futr_known: Tensor | None) -> Tensor:
        """Return the rows of the steps to forecast, ``(b, steps, channels)``: nothing observed, the future as known.

        They enter the states, so that a layer whose B and C follow its input has some.

        Args:
            steps: number of steps.
            like: a tensor of the batch, its type and its device.
            futr: covariates of these steps, ``(b, steps, m)``.
            futr_known: where they are there, ``(b, steps)``.
        """
        asked = like.new_zeros(len(like), steps, 2 + 2 * self.hist)
        if futr is None or futr_known is None:
            return asked
        return torch.cat([asked, futr[:, :steps], futr_known[:, :steps, None]], -1)

    def told(self, past: History) -> Tensor | None:
        """Return what belongs to a series as a whole, as it is added to each step, ``(b, d_model)``; None for none."""
        parts = [] if self.embed_static is None else [self.embed_static(past.static)]
        for place, table in enumerate(self.embed_codes):
            assert past.codes is not None
            parts.append(table(past.codes[:, place]))
        return sum(parts[1:], parts[0]) if parts else None

    def _check(self, past: History, steps: int, dt_scale: float) -> None:
        where, batch = "ForecastNetwork", past.x.shape[0]
        length = past.x.shape[1] if dt_scale != 1 or self.linear is None else self.input_size
        expect(where, "x", past.x, "b l", {"l": length}, "Pad shorter windows in front.")
        expect(where, "observed", past.observed, "b l", {"b": batch, "l": length})
        sizes = {"b": batch, "l": length, "k": self.hist, "m": self.futr, "n": length + steps, "s": self.static}
        for name, axes, wanted in (
            ("hist", "b l k", self.hist),
            ("futr", "b n m", self.futr),
            ("static", "b s", self.static),
        ):
            part = getattr(past, name)
            if (part is not None) != bool(wanted):
                given = "is given" if part is not None else "is missing"
                raise InputError(
                    f"{where}: {name} {given}, but the network was made for {wanted} covariates of this kind."
                )
            if part is not None:
                expect(where, name, part if name != "futr" else part[:, : length + steps], axes, sizes)

    def raw(self, past: History, steps: int | None = None, dt_scale: float = 1.0) -> Raw:
        """Return what the output reads, for the `steps` after each window; at most `h` if there is a linear path.

        Args:
            past: windows of `input_size` steps, short ones padded in front.
            steps: number of steps; by default the horizon.
            dt_scale: time between two samples in units of that in training.
        """
        steps = self.h if steps is None else steps
        self._check(past, steps, dt_scale)
        window = normalise(self.bare(past), past.observed, self.scaler)
        rows, known = self.rows(window.x, past)
        length = rows.shape[1]
        futr = None if past.futr is None else past.futr[:, length:]
        futr_known = None if past.futr_known is None else past.futr_known[:, length:]
        rows = torch.cat([rows, self.questions(steps, rows, futr, futr_known)], 1)
        told = self.told(past)
        u = self.embed(rows) if told is None else self.embed(rows) + told[:, None]
        z, _ = self.backbone(u, dt=past.dt, dt_scale=dt_scale, observed=F.pad(known, (0, steps), value=True))
        raw = self.head(z[:, -steps:])
        added = None if futr is None else self.added(futr[:, :steps], past.series)
        return self.at(raw, window, past, added, dt_scale)

    def _row(self, steps: int, dt_scale: float, silent: Tensor | None = None) -> Tensor:
        """Return which step on the grid trained on each of some steps is nearest to, from above, from 0 on.

        Args:
            steps: number of steps.
            dt_scale: time between two of them.
            silent: how many steps passed before them since the last value, ``(b, 1)``; None for none.
        Returns:
            ``(steps,)``, or ``(b, steps)`` with `silent`.
        """
        step = torch.arange(1, steps + 1, device=self.offsets.device)
        step = step if silent is None else step + silent
        return (step * dt_scale - 1e-6).ceil().long() - 1

    def at(
        self, raw: Tensor, window: Normalised, past: History, added: Tensor | None = None, dt_scale: float = 1.0
    ) -> Raw:
        """Add what training started from and the linear path to what the head puts out, ``(b, steps, parameters)``.

        What covariates of these steps have `added` to the values, ``(b, steps)``, moves the location.
        """
        if self.linear is not None:
            linear = self.straight(self.linear, window, past, dt_scale, raw.shape[1])
            begin = self.begin[self._row(raw.shape[1], dt_scale, window.silent).clamp(max=len(self.begin) - 1)]
            raw = raw + begin + F.pad(linear[..., None], (0, self.output.parameters - 1))
        scale = window.scale
        if window.begun is not None:
            begun = (window.begun * dt_scale).ceil().long().clamp(1, self.input_size)
            wider = self.wider[begun - 1]
            raw = torch.cat([raw[..., :1] / wider[..., None], raw[..., 1:]], -1)  # the forecast stays where it is
            scale = scale * wider
        unit = self.scaler.before(scale) if isinstance(self.scaler, Reversible) else None
        location = window.location if added is None else window.location + added
        return Raw(raw, location, scale, unit)

    def straight(
        self, linear: LinearPath, window: Normalised, past: History, dt_scale: float = 1.0, steps: int | None = None
    ) -> Tensor:
        """Return what is forecast in a straight line, from the window and from other series, ``(b, steps)``."""
        found = linear.read(window, dt_scale, steps, past.series)
        return found if self.across is None else found + self.across(past, found.shape[1]) / window.scale

    def read(self, raw: Raw, dt_scale: float = 1.0) -> Forecast:
        """Return the forecast that the output reads from what the network put out, with its offsets."""
        arguments = raw.raw, raw.location.expand(raw.raw.shape[:2]), raw.scale.expand(raw.raw.shape[:2])
        quantiles = self.output.quantiles(*arguments)
        offsets = self.offsets[self._row(raw.raw.shape[1], dt_scale).clamp(max=self.h - 1)]
        quantiles = _ascending(quantiles + offsets * raw.scale[..., None])
        return Forecast(self.output.possible(quantiles), self.output.mean(*arguments))

    def forward(self, past: History, steps: int | None = None, dt_scale: float = 1.0) -> Forecast:
        """Forecast from windows, any number of steps.

        Without a linear path the system runs on as far as it is asked to. With one, beyond the horizon the median is
        taken as observed and fed back; the spread around it adds up over the blocks as that of independent errors
        does, in squares: an approximation, since errors of one block carry over into the next.

        Args:
            past: windows of `input_size` steps, or of as much time at another rate; short ones padded in front, and
                covariates of the future for all `steps`.
            steps: number of steps; by default the horizon.
            dt_scale: time between two samples in units of that in training.
        Returns:
            Quantiles and mean of each step, in the units of the windows.
        Raises:
            ShapeError: a part of `past` is not of the shape that `History` names.
            InputError: covariates are missing, or given where the network knows of none.
        """
        steps = self.h if steps is None else steps
        block = steps if self.linear is None else min(steps, int(self.h / dt_scale + 1e-9))
        if block < 1:
            raise InputError(
                f"ForecastNetwork: dt_scale is {dt_scale}, but the horizon is {self.h} steps: at most that is possible."
            )
        return self.prolong(self.read(self.raw(past, block, dt_scale), dt_scale), past, steps, dt_scale)

    def prolong(self, forecast: Forecast, past: History, steps: int, dt_scale: float = 1.0) -> Forecast:
        """Go on from a forecast of the steps after `past`, block by block, as far as is asked for; see `forward`."""
        block = forecast.mean.shape[1]
        blocks, means = [forecast.quantiles], [forecast.mean]
        while (done := block * len(blocks)) < steps:
            median = blocks[-1][..., MIDDLE]
            past = past.then(median, torch.ones_like(median))
            more = self.read(self.raw(past, min(block, steps - done), dt_scale), dt_scale)
            centre = more.quantiles[..., MIDDLE : MIDDLE + 1]
            spread = more.quantiles - centre
            before = (blocks[-1] - median[..., None])[:, -1:]
            blocks.append(self.output.possible(centre + spread.sign() * torch.hypot(spread, before)))
            means.append(more.mean)
        return Forecast(torch.cat(blocks, 1), torch.cat(means, 1))
