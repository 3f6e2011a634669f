"""A live stream, and what is out of the ordinary
===============================================

Row after row moves the state that is carried, at the same cost however long the past. Before each row, the model says
what it expects; the row then shows how far off it is. From the command line the same is
``statespace stream model/ --detect < rows.csv``.
"""

# %%
# An electrocardiogram, of which the first half is known. In the second half a beat is disturbed.

import numpy as np
import pandas as pd

from statespace import Forecaster
from statespace.datasets import load_signal

df = load_signal("ecg")
known, new = df.iloc[:600], df.iloc[600:].copy()
new.iloc[200:206, 2] += 40.0

fc = Forecaster(h=1, input_size=64, max_steps=200, transform="none", random_seed=0, verbose=False)
fc.fit(known, freq=1)

# %%
# `ForecastStream.push` takes a row of each series, `follow` many at once; both say what was expected of them.

from statespace.forecasting import ForecastStream

stream = ForecastStream(fc, level=[95])
found = stream.follow(new["ds"].to_numpy()[:, None], new["y"].to_numpy()[:, None])
score = found.score
print(f"{(np.abs(score) >= 4).sum()} of {len(score)} rows are anomalies, the largest score {np.abs(score).max():.0f}")

# %%
# The forecaster goes on from where the stream is: nothing was trained, and no window was read again.

stream.keep()
print(fc.predict(h=3, level=[80]).to_string(float_format="%.1f"))

# %%
# `Forecaster.update` does the same for a table, when the scores are not asked for.

again = Forecaster(h=1, input_size=64, max_steps=200, transform="none", random_seed=0, verbose=False)
again.fit(known, freq=1).update(new)
same = np.allclose(again.predict(h=3)["S4D"], fc.predict(h=3)["S4D"], rtol=1e-3)
print(f"the same forecast after an update of {len(new)} rows at once: {same}")

# %%
# The band follows the beats, and the score leaves its own band where the beat is disturbed.

import matplotlib.pyplot as plt

picture, (top, bottom) = plt.subplots(2, 1, figsize=(10, 5), sharex=True, layout="constrained")
top.plot(new["ds"], new["y"], color="#33415c", linewidth=1, label="signal")
low, high = found.columns["S4D-lo-95"], found.columns["S4D-hi-95"]
top.fill_between(new["ds"], low, high, color="#c8553d", alpha=0.3, linewidth=0, label="expected, 95 %")
top.legend(frameon=False)
bottom.plot(new["ds"], score, color="#33415c", linewidth=1)
bottom.axhline(4, color="#c8553d", linewidth=0.8)
bottom.axhline(-4, color="#c8553d", linewidth=0.8)
bottom.set_ylabel("score")
bottom.set_xlabel("sample")
for axes in (top, bottom):
    axes.spines[["top", "right"]].set_visible(False)
print(pd.Series(score).describe().round(2).to_string())
