"""Covariates and a backtest
==========================

Hourly demand that follows the temperature, the hour and the holidays: what is known beforehand is worth as much as the
history. Each window of the backtest is forecast by a model that has seen nothing after its cutoff.
"""

# %%
# A demand of ten weeks. The temperature forecast is taken as known; of the price only the past is.

import numpy as np
import pandas as pd

from statespace import Forecaster

rng = np.random.default_rng(0)
stamps = pd.date_range("2024-04-01", periods=24 * 70, freq="h")
hour = np.arange(len(stamps))
weather = np.convolve(rng.normal(size=len(stamps) + 95), np.ones(96) / 8, "valid")
temperature = 12 + 6 * np.sin(2 * np.pi * (hour - 9) / 24) + 3 * weather
price = 50 + np.convolve(rng.normal(size=len(stamps) + 5), np.ones(6), "valid")
weekend = stamps.day_of_week >= 5
demand = 100 + 20 * np.sin(2 * np.pi * (hour - 7) / 24) - 25 * weekend + 0.2 * (temperature - 14) ** 2
demand = demand - 0.5 * np.roll(price - 50, 1) + rng.normal(size=len(stamps))
df = pd.DataFrame({"unique_id": "town", "ds": stamps, "y": demand, "temperature": temperature, "price": price})
print(df.head(3).to_string(float_format="%.1f"))

# %%
# ``futr_exog_list`` names what `predict` is told of the steps ahead, ``hist_exog_list`` what is known up to now; the
# calendar is made from the stamps.

options = {"h": 24, "input_size": 72, "max_steps": 150, "random_seed": 0, "verbose": False}
without = Forecaster(**options, alias="without")
covariates = {"futr_exog_list": ["temperature"], "hist_exog_list": ["price"], "calendar": ["hour", "weekend"]}
with_them = Forecaster(**options, **covariates, alias="with covariates")

# %%
# Three windows of a day, two days apart. ``refit=False`` fits once, before the first of them.

tables = {fc.name: fc.cross_validation(df, n_windows=3, step_size=48, level=[80]) for fc in (without, with_them)}
for name, table in tables.items():
    error = (table[name] - table["y"]).abs().mean()
    inside = table["y"].between(table[f"{name}-lo-80"], table[f"{name}-hi-80"]).mean()
    print(f"{name:16} mean absolute error {error:5.2f}, {100 * inside:3.0f} % of the values in the 80 % band")

# %%
# The covariates say when the weather turns.

import matplotlib.pyplot as plt

picture, axes = plt.subplots(figsize=(10, 4), layout="constrained")
shown = df.tail(24 * 8)
axes.plot(shown["ds"], shown["y"], color="#33415c", linewidth=1, label="observed")
for colour, (name, table) in zip(("#c8553d", "#2a9d8f"), tables.items(), strict=True):
    for k, (_, window) in enumerate(table.groupby("cutoff")):
        axes.plot(window["ds"], window[name], color=colour, linewidth=1.6, label=None if k else name)
        low, high = window[f"{name}-lo-80"], window[f"{name}-hi-80"]
        axes.fill_between(window["ds"], low, high, color=colour, alpha=0.15, linewidth=0)
axes.set_ylabel("demand")
axes.legend(frameon=False, ncols=3)
axes.spines[["top", "right"]].set_visible(False)

# %%
# To forecast tomorrow, tomorrow's temperature has to be known: a table without it is refused, and says from when.

fc = with_them.fit(df.iloc[:-24])
try:
    fc.predict()
except ValueError as error:
    print(error)
print(fc.predict(futr_df=df.iloc[-24:], level=[80]).head(3).to_string(float_format="%.1f"))
