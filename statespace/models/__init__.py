"""Networks: tensors in, tensors out; no data frames and no training loops."""

from statespace.models.backbone import Backbone
from statespace.models.forecaster import QUANTILES, QuantileForecaster
from statespace.models.sequence import POOLINGS, SequenceModel

__all__ = ["POOLINGS", "QUANTILES", "Backbone", "QuantileForecaster", "SequenceModel"]
