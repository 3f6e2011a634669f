"""Trained on hours, asked for half-hours
======================================

A system in continuous time does not care at what rate it is looked at. A model that has seen hours alone forecasts
half-hours, when it is told that the time between two rows is half as long: nothing is trained again.
"""

# %%
# The load of a transformer was recorded every 15 minutes (ETTm1, in the folder that ``STATESPACE_DATA`` names). Where
# that is not there, weeks of carbon dioxide in the air, which come with the library, and every second of them.

import os
from pathlib import Path

import numpy as np
import pandas as pd

from statespace import Forecaster
from statespace.datasets import load

path = Path(os.environ.get("STATESPACE_DATA", ".")) / "ett" / "ETTm1.csv.gz"
if path.is_file():
    recorded = pd.read_csv(path, parse_dates=["date"]).iloc[::2]
    fine = pd.DataFrame({"unique_id": "load", "ds": recorded["date"], "y": recorded["HUFL"]}).tail(2 * 24 * 180)
    h, size, season, every, freq, step, unit = 24, 168, 24, 25, "h", "hour", "load"
else:
    print(f"there is no {path}: weeks of carbon dioxide instead of half-hours of a load")
    fine = load("co2")
    h, size, season, every, freq, step, unit = 26, 104, 26, 9, "14D", "second week", "carbon dioxide in ppm"
fine = fine.reset_index(drop=True)

# %%
# Every second row, up to where the test begins, is all that the model is fitted on.

windows = 20
test = len(fine) - 2 * (h + every * windows)
test -= test % 2
coarse = fine.iloc[:test:2]
fc = Forecaster(h, size, season_length=season, max_steps=150, random_seed=0, verbose=False)
fc.fit(coarse, freq)
print(f"fitted on {len(coarse)} rows, a row each {step}")

# %%
# It forecasts from 20 histories with all rows. Each ends at a row such as it was trained on, so every second row of the
# forecast is one, too, and the others lie between. ``known_as`` says which series the histories are parts of.

ends = test + 2 * every * np.arange(windows)
pasts = pd.concat([fine.iloc[end - 2 * size : end + 1].assign(unique_id=number) for number, end in enumerate(ends)])
known_as = dict.fromkeys(range(windows), fine["unique_id"].iloc[0])
pred = fc.predict(pasts, dt_scale=0.5, level=[80], known_as=known_as)
pred = pred.merge(fine[["ds", "y"]], on="ds")
print(pred.head(4).to_string(index=False, float_format="%.2f"))

# %%
# What there is to compare with: the forecast of the rows as in training, drawn straight to those between, and the last
# season once more.

usual = fc.predict(pasts.groupby("unique_id").nth(slice(None, None, 2)), known_as=known_as)
ahead = pred.groupby("unique_id").cumcount().to_numpy() + 1
between = ahead % 2 == 1
last = fine["y"].to_numpy()[ends]
straight = np.concatenate(
    [
        np.interp(np.arange(1, 2 * h + 1) / 2, np.arange(h + 1), np.append(value, window["S4D"]))
        for value, (_, window) in zip(last, usual.groupby("unique_id"), strict=True)
    ]
)
again = fine["y"].to_numpy()[(ends[:, None] - 2 * season + 1 + np.arange(2 * h) % (2 * season)).reshape(-1)]
off = {
    f"each {step}": (pred["S4D"] - pred["y"])[~between],
    "between them": (pred["S4D"] - pred["y"])[between],
    "between, drawn straight": (straight - pred["y"])[between],
    "between, last season again": (again - pred["y"])[between],
}
errors = {name: difference.abs().mean() for name, difference in off.items()}
for name, error in errors.items():
    print(f"mean absolute error, {name:26} {error:.3f}")

# %%
# Between the rows of training the forecast is as good as at them. A straight line from one to the next is as good where
# a series goes smoothly from row to row, but it has no bands, and needs the row after.

# %%
# One of the forecasts, and the errors of all.

import matplotlib.pyplot as plt
from matplotlib.dates import ConciseDateFormatter

DARK, RED, PALE, GREY = "#33415c", "#c8553d", "#e3b5aa", "#b8c0cc"
picture, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=(3, 1), layout="constrained")
number = windows // 2
window, end = pred[pred["unique_id"] == number], ends[number]
before, after = fine.iloc[end - 2 * h : end + 1], fine.iloc[end : end + 2 * h + 1]
rows = window.iloc[1::2], window.iloc[::2]
left.fill_between(window["ds"], window["S4D-lo-80"], window["S4D-hi-80"], color=RED, alpha=0.13, linewidth=0)
left.plot(before["ds"], before["y"], color=DARK, linewidth=1.4, label="known")
left.plot(after["ds"], after["y"], color=DARK, linewidth=1.4, alpha=0.45, label="what came")
left.plot(window["ds"], window["S4D"], color=RED, linewidth=1)
left.plot(rows[0]["ds"], rows[0]["S4D"], "o", color=RED, markersize=4.5, label=f"forecast, each {step}")
left.plot(
    rows[1]["ds"], rows[1]["S4D"], "o", color=RED, markersize=4.5, markerfacecolor="white", label="forecast between"
)
left.axvline(fine["ds"][end], color=GREY, linewidth=1, zorder=0)
left.set_ylabel(unit)
left.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, handlelength=1.5, columnspacing=1.4)
left.margins(x=0.01)
left.xaxis.set_major_formatter(ConciseDateFormatter(left.xaxis.get_major_locator()))
left.spines[["top", "right"]].set_visible(False)
bars = right.barh(list(errors), list(errors.values()), color=[RED, "white", PALE, GREY], height=0.45)
bars[1].set(edgecolor=RED, linewidth=1.2)
right.bar_label(bars, fmt="%.2f", padding=4)
right.invert_yaxis()
right.set_title(f"mean absolute error of {windows} forecasts", loc="right", fontsize=10, pad=12)
right.set_xticks([])
right.tick_params(axis="y", length=0)
right.spines[["top", "right", "bottom"]].set_visible(False)
