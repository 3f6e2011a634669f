"""The interface of outputs: what the numbers that a network puts out for one step say of the value to come."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from statespace.errors import InputError
from statespace.models.outputs.levels import QUANTILES


class Output(ABC):
    """What a forecasting network puts out for one step, and what it means.

    A network gives `parameters` numbers a step, ``raw (..., parameters)``. The first is the location of the forecast in
    units of the normalised window: a network adds its linear path to it. With the window's `location` and `scale`,
    both ``(...)`` and in the units of y, the numbers become a loss, quantiles and a mean.

    Attributes:
        name: under which estimators know it.
        parameters: numbers for each step.
        positive: whether values are never negative. The window is then divided by its scale alone, and its location
            is 0.
        whole: whether values are whole numbers.
    """

    name: str
    parameters: int
    positive: bool = False
    whole: bool = False

    @abstractmethod
    def loss(self, raw: Tensor, y: Tensor, location: Tensor, scale: Tensor, unit: Tensor | None = None) -> Tensor:
        """Return how badly the forecast fits, in units that make windows of all series count alike.

        Args:
            raw: what the network puts out, ``(..., parameters)``.
            y: values that came, ``(...)``; any finite number where nothing was observed.
            location: of the window, ``(...)``, in the units of `y`.
            scale: of the window, ``(...)``, positive, in the units of `y`.
            unit: in which errors count, ``(...)``, positive, in the units of `y`; None for `scale`. A scale that is
                learnt would else make errors small by growing.
        Returns:
            Loss of each value, ``(...)``.
        """

    @abstractmethod
    def mean(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        """Return the mean of the forecast, ``(...)``, in the units of y.

        Args:
            raw: what the network puts out, ``(..., parameters)``.
            location: of the window, ``(...)``.
            scale: of the window, ``(...)``.
        """

    @abstractmethod
    def quantiles(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        """Return the quantiles at the levels `QUANTILES`, ``(..., len(QUANTILES))``, ascending, in the units of y.

        Args:
            raw: what the network puts out, ``(..., parameters)``.
            location: of the window, ``(...)``.
            scale: of the window, ``(...)``.
        """

    @abstractmethod
    def sample(self, raw: Tensor, location: Tensor, scale: Tensor, u: Tensor) -> Tensor:
        """Return the quantile at any probability: a draw where `u` is drawn uniformly.

        Args:
            raw: what the network puts out, ``(..., parameters)``.
            location: of the window, ``(...)``.
            scale: of the window, ``(...)``.
            u: probabilities in (0, 1), ``(...)``, which may have further axes in front.
        Returns:
            Values in the units of y, ``(...)``.
        """

    def begin(self, spread: Tensor) -> Tensor:
        """Return what is to be added to `raw` so that zeros are a forecast of this spread, ``(..., parameters)``.

        Args:
            spread: standard deviation in units of the normalised window, ``(...)``, positive.
        """
        return spread.new_zeros(*spread.shape, self.parameters)

    def possible(self, values: Tensor) -> Tensor:
        """Return the values that can come and are nearest to these, of any shape."""
        values = values.round() if self.whole else values
        return values.clamp(min=0) if self.positive else values

    def check(self, where: str, series: object, values: np.ndarray) -> None:
        """Check that the values of a series can come from this output.

        Args:
            where: the function, for the message.
            series: name of the series, for the message.
            values: of the series, ``(steps,)``; NaN in gaps.
        Raises:
            InputError: a value is negative or has decimals where it may not; the message says which output takes it.
        """
        seen = values[np.isfinite(values)]
        if self.positive and (seen < 0).any():
            raise InputError(
                f"{where}: series {series!r} holds {seen[seen < 0][0]:g}, but output {self.name!r} is for values from "
                "0 on: use 'quantile', 'normal' or 'student-t'."
            )
        if self.whole and (seen != np.trunc(seen)).any():
            raise InputError(
                f"{where}: series {series!r} holds {seen[seen != np.trunc(seen)][0]:g}, but output {self.name!r} is "
                "for counts, whole numbers from 0 on: use 'tweedie' or 'quantile'."
            )


class Distribution(Output):
    """An output whose quantiles are those of a distribution, each found by itself."""

    def quantiles(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        """Return the quantiles at the levels `QUANTILES`; see `Output.quantiles`. No gradient goes through them."""
        levels = torch.tensor(QUANTILES, dtype=torch.float64, device=raw.device if raw.device.type != "mps" else "cpu")
        return self.sample(raw[..., None, :], location[..., None], scale[..., None], levels)
