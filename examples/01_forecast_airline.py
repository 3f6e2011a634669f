"""Forecast a real series
======================

Monthly airline passengers, 1949 to 1960: hold out the last year, train on the rest, and look at what comes out.
"""

# %%
# A long frame has a row for each series and stamp: ``unique_id``, ``ds``, ``y``.

from tempfile import TemporaryDirectory

from statespace import Forecaster
from statespace.datasets import load

df = load("airline")
train, test = df.iloc[:-12], df.iloc[-12:]
print(train.tail(3))

# %%
# One S4D model, direct over the next 12 months, with quantiles that never cross. Passengers grow in percent, so their
# logarithm is modelled; that is read off the data (``transform="auto"``).

fc = Forecaster(h=12, input_size=36, layer="s4d", max_steps=500, random_seed=0, verbose=False)
fc.fit(train)
pred = fc.predict(level=[80, 95])
print(pred.head(3).round(1).to_string())

# %%
# The held-out year beside the seasonal naive forecast, which repeats the last one.

from statespace.forecasting.evaluation import metrics, seasonal_naive

y, history = test["y"].to_numpy(), train["y"].to_numpy()
for name, forecast in {"S4D": pred["S4D"].to_numpy(), "SeasonalNaive": seasonal_naive(history, 12, 12)}.items():
    print(f"{name:14}", {kind: round(value, 2) for kind, value in metrics(y, forecast, history, 12).items()})

# %%
# The same job draws its own picture: `report.run` is what ``statespace forecast`` calls. It fits on all rows for the
# forecast, and once more without the last year to measure and to draw the backtest.

import matplotlib.pyplot as plt

from statespace.forecasting.figures import plot
from statespace.forecasting.report import run


def make() -> Forecaster:
    """Give a new forecaster; the job fits it twice."""
    return Forecaster(h=12, input_size=36, max_steps=200, random_seed=0, verbose=False)


report = run(df, make, "MS", levels=[80, 95])
picture, axes = plt.subplots(figsize=(10, 4.2), layout="constrained")
plot(report, "airline", axes)

# %%
# A saved model is JSON and safetensors: loading it runs no code. It forecasts any number of steps.

with TemporaryDirectory() as folder:
    fc.save(folder + "/model")
    again = Forecaster.load(folder + "/model")
print(again.predict(h=24).tail(2).round(1).to_string())
