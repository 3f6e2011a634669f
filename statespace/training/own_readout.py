"""What each series has of its own in the linear path: ridge regression towards what all series have in common.

    ΔW⁽ⁱ⁾ = argmin Σ s² ‖(y - μ)/s - ŷ - ΔW⁽ⁱ⁾ [x̂, 1]‖² + λ_i ‖ΔW⁽ⁱ⁾‖²       over the windows of series i

ŷ is the common forecast. The penalty λ_i is chosen on stretches of time that neither the common path nor the series'
own part has seen; one without bound leaves a series to what all have in common.

Source: Robinson, Statistical Science 6(1), 1991, 15-32, for effects of single series drawn to those of all.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from statespace.models.instance_norm import Reversible, normalise
from statespace.models.linear_path import LinearPath
from statespace.training.closed_form import Fit, Moments, Origins, drawn, squared_error
from statespace.training.windows import WindowSource

OWN_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, float("inf"))
_LEAST_WINDOWS = 100  # of a series: fewer say too little of so many weights
_MOST_WINDOWS = 20_000  # of a series: more would tell little and take memory
STEPS_JUDGED = 12
_WORTH = 0.99  # of the common error: less than that is chance


class SeriesWindows:
    """The windows of one series, and what the common path leaves of their targets.

    Attributes:
        whole: which of them count, ``(windows,)``.
    """

    def __init__(
        self, path: LinearPath, source: WindowSource, series: int, position: Tensor, scaler: str | Reversible
    ) -> None:
        batch = source.cut(torch.full_like(position, series), position)
        window = path.filled(normalise(batch.past.x, batch.past.observed, scaler))
        known = path.known(window)
        y, self.whole = batch.targets()
        self.common = y - window.location - (known @ path.weight.T + path.bias) * window.scale
        ones = torch.ones_like(window.scale)
        self.z = torch.cat([window.x, ones], 1) * window.scale
        self.known = torch.cat([known, ones], 1) * window.scale

    def _stretches(self, block: Tensor) -> dict[int, Tensor]:
        """Return which windows are in each stretch of time, ``(windows,)`` by its number."""
        parts = {int(number): self.whole & (block == number) for number in block.unique() if number >= 0}
        return {number: part for number, part in parts.items() if part.any()}

    def _left_without(self, fit: Fit, number: int, every: int = 1) -> Tensor:
        """Return what is left by the common path as it is without a stretch of time, one step in `every`."""
        change = (fit.change - fit.left_out[number])[:, ::every].to(self.known.dtype)
        return self.common[:, ::every] + self.known @ change

    def judge(self, fit: Fit, block: Tensor) -> Tensor:
        """Return the squared errors of stretches left out, summed, for each penalty; those of block -1 are in none."""
        every = max(1, self.common.shape[1] // STEPS_JUDGED)
        parts = self._stretches(block)
        found = torch.zeros(len(OWN_PENALTIES), dtype=torch.float64)
        if len(parts) < 2:
            return found
        for number, tested in parts.items():
            error = self._left_without(fit, number, every)
            rest = Moments.of(*(part[_any_but(number, parts)] for part in (self.z, error)))
            test = Moments.of(self.z[tested], error[tested])
            found += torch.tensor([squared_error(test, drawn(rest, penalty)) for penalty in OWN_PENALTIES])
        return found

    def change(self, penalty: float) -> Tensor:
        """Return what the series has of its own, ``(h, input_size + 1)``."""
        return drawn(Moments.of(self.z[self.whole], self.common[self.whole]), penalty).T.to(self.z.dtype)

    def left(self, own: Tensor | None) -> Tensor:
        """Return what the path leaves with the series' own part, if it has one, ``(windows, h)``."""
        return self.common if own is None else self.common - self.z @ own.T

    def without(self, fit: Fit, block: Tensor, penalty: float) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Leave out each stretch of time in turn.

        Yields:
            What is left of all windows by a path that has not seen the stretch, the series' own part included,
            ``(windows, h)``; which windows are in it; and which are in the others.
        """
        parts = self._stretches(block)
        for number, tested in parts.items():
            error, others = self._left_without(fit, number), _any_but(number, parts)
            own = drawn(Moments.of(self.z[others], error[others]), penalty).to(self.z.dtype)
            yield error - self.z @ own, tested, others


def _any_but(number: int, parts: Mapping[int, Tensor]) -> Tensor:
    """Return which windows are in another part than that of a number."""
    return torch.stack([torch.zeros_like(parts[number]), *(p for other, p in parts.items() if other != number)]).any(0)


@torch.no_grad()
def fit_own(
    path: LinearPath,
    source: WindowSource,
    blocks: Sequence[Origins],
    between: Origins,
    fit: Fit,
    scaler: str | Reversible = "standard",
    penalties: Tensor | None = None,
    verbose: bool = False,
) -> Tensor:
    """Fit what each series has of its own, in place.

    Args:
        path: the common path as it is fitted, with places for all series in `own`.
        source: the series.
        blocks: windows of each stretch of time, as `fit_readout` was given them or more.
        between: windows with targets in two of them.
        fit: what `fit_readout` gave.
        scaler: how windows are normalised.
        penalties: of each series, as chosen before; None to choose them.
        verbose: whether to show a progress bar, should it take longer than a moment.
    Returns:
        The penalty of each series, ``(series,)``, infinite where nothing of its own serves it.
    """
    series, position = (torch.cat(parts) for parts in zip(*blocks, between, strict=True))
    sizes = [len(origins[0]) for origins in (*blocks, between)]
    block = torch.repeat_interleave(torch.tensor([*range(len(blocks)), -1]), torch.tensor(sizes))
    path.own.zero_()
    errors = torch.zeros(len(path.own), len(OWN_PENALTIES), dtype=torch.float64)
    order = series.argsort(stable=True).split(torch.bincount(series, minlength=len(path.own)).tolist())
    kept = [part[:: max(1, -(-len(part) // _MOST_WINDOWS))] for part in order]
    each = [number for number, part in enumerate(kept) if len(part) >= _LEAST_WINDOWS]
    if penalties is None:
        for number in tqdm(each, "linear path", unit="series", delay=1.0, disable=not verbose):
            windows = SeriesWindows(path, source, number, position[kept[number]], scaler)
            errors[number] = windows.judge(fit, block[kept[number]])
        least, best = errors.min(1)
        serves = least < _WORTH * errors[:, -1]
        penalties = torch.tensor(OWN_PENALTIES, dtype=torch.float64)[best].where(serves, torch.inf)
    for number in each:
        if penalties[number] < float("inf"):
            windows = SeriesWindows(path, source, number, position[kept[number]], scaler)
            path.own[number] = windows.change(float(penalties[number]))
    return penalties
