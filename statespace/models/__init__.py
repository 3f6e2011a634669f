"""Networks: tensors in, tensors out; no data frames and no training loops."""

from statespace.models.backbone import Backbone
from statespace.models.forecaster import QUANTILES, QuantileForecaster

__all__ = ["QUANTILES", "Backbone", "QuantileForecaster"]
