"""`Regressor`: raw signals in, numbers out; see `Classifier`, of which it differs in what is told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statespace.classification.estimator import SignalEstimator
from statespace.classification.tables import as_long, by_case
from statespace.classification.targets import numbers_of, weights_of
from statespace.errors import InputError


class Regressor(SignalEstimator):
    """Tell which number belongs to a signal, or which numbers; the parameters are those of `Classifier`.

    Attributes:
        layer_: what `layer` came to.
        n_channels_: channels of the signals.
        validation_rows_: training cases that were left out when they were judged.
        validation_scores_: what was said of them, in the units of y, ``(b, k)``.
    """

    _kind = "numbers"
    _estimator_type = "regressor"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags  # only scikit-learn asks for these

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True),
            regressor_tags=RegressorTags(),
            input_tags=InputTags(two_d_array=True, three_d_array=True, allow_nan=True),
        )

    def fit(
        self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None, checkpoint: Path | str | None = None
    ) -> "Regressor":
        """Fit; as `Classifier.fit`, with numbers, ``(b,)`` or ``(b, k)``."""
        fresh = self._afresh()
        X = as_long("Regressor.fit", X)
        y, groups, sample_weight = (by_case(X, values) for values in (y, groups, sample_weight))
        fresh._fit_numbers(X, y, groups, sample_weight, checkpoint)
        return self._become(fresh)

    def _fit_numbers(self, X: Any, y: Any, groups: Any, sample_weight: Any, checkpoint: Path | str | None) -> None:
        where = "Regressor.fit"
        self._checked(where)
        values = numbers_of(where, "y", y)
        if values.ndim not in (1, 2):
            raise InputError(f"{where}: y is {values.shape}, but (n_cases,) or (n_cases, k) is expected.")
        self._flat = values.ndim == 1
        values = values[:, None] if self._flat else values
        self._mean, deviation = values.mean(0), values.std(0)
        self._deviation = np.where(deviation > 0, deviation, 1.0)
        targets = torch.as_tensor((values - self._mean) / self._deviation)
        self._fit(where, X, targets, None, weights_of(where, sample_weight, len(values)), groups, checkpoint)
        self.validation_scores_ = self.validation_scores_ * self._deviation + self._mean

    def predict(self, X: Any, dt_scale: float = 1.0) -> np.ndarray:
        """Return the number of each signal, ``(b,)``, or ``(b, k)``."""
        scores = self._scores("Regressor.predict", X, dt_scale).double().numpy()
        found: np.ndarray = scores * self._deviation + self._mean
        return found[:, 0] if self._flat else found

    def fit_predict(self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit, and return what is predicted for the same signals."""
        return self.fit(X, y, groups, sample_weight).predict(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None, dt_scale: float = 1.0) -> float:
        """Return R², the share of the variance of `y` that is explained; one minus the mean squared error over it."""
        where = "Regressor.score"
        X = as_long(where, X)
        y, sample_weight = by_case(X, y), by_case(X, sample_weight)
        values, found = numbers_of(where, "y", y), self.predict(X, dt_scale)
        if values.size != found.size or len(values) != len(found):
            raise InputError(f"{where}: y is {values.shape}, but {found.shape} is expected, one for each signal of X.")
        values = values.reshape(found.shape)
        weights = weights_of(where, sample_weight, len(values))
        if values.ndim == 2:
            weights = weights[:, None]
        error = (weights * (values - found) ** 2).sum(0)
        spread = (weights * (values - (weights * values).sum(0) / weights.sum()) ** 2).sum(0)
        return float(np.mean(1 - error / np.where(spread > 0, spread, 1.0)))

    def _extra(self) -> dict[str, Any]:
        return {"mean": self._mean.tolist(), "deviation": self._deviation.tolist(), "flat": self._flat}

    def _take_extra(self, description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        super()._take_extra(description, tensors)
        self._mean, self._deviation = np.array(description["mean"]), np.array(description["deviation"])
        self._flat = description["flat"]
