"""Forecasting of long data frames: the estimator, its live streams, its intervals, and what to measure it with."""

from statespace.forecasting.estimator import Forecaster
from statespace.forecasting.innovations import Smoothing
from statespace.forecasting.partitions import predict_part
from statespace.forecasting.smoothing import Start, smoothed
from statespace.forecasting.stream import ForecastStream

__all__ = ["ForecastStream", "Forecaster", "Smoothing", "Start", "predict_part", "smoothed"]
