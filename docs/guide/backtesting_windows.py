"""Draw a backtest of the airline passengers: three years, forecast by one model that saw none of them."""

import matplotlib.pyplot as plt

from statespace import Forecaster
from statespace.datasets import load
from statespace.forecasting.backtest import run
from statespace.forecasting.figures import plot


def make() -> Forecaster:
    """Give a new forecaster."""
    return Forecaster(h=12, input_size=36, max_steps=200, random_seed=0, verbose=False)


report = run(load("airline"), make, "MS", levels=[80, 95], n_windows=3)
figure, axes = plt.subplots(figsize=(10, 4.2), layout="constrained")
plot(report, "airline", axes)
