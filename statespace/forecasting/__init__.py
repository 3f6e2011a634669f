"""Forecasting of long data frames: the estimator, its intervals, its files, and what to measure it with."""

from statespace.forecasting.estimator import Forecaster

__all__ = ["Forecaster"]
