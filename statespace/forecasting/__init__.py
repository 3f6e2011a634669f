"""Forecasting of long data frames: the estimator, its live streams, its intervals, and what to measure it with."""

from statespace.forecasting.estimator import Forecaster
from statespace.forecasting.partitions import predict_part
from statespace.forecasting.smoothing import Smoothing, Start, smoothed
from statespace.forecasting.stream import ForecastStream

__all__ = ["ForecastStream", "Forecaster", "Smoothing", "Start", "predict_part", "smoothed"]
