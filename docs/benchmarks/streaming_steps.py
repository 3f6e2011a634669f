"""Draw the time of a step of each side, from what benchmarks/streaming.py measured."""

import json
from pathlib import Path

import matplotlib.pyplot as plt

file = Path("streaming.json")
if file.exists():  # it does not in a tree in which the benchmark has not run yet
    rows = json.loads(file.read_text())["steps"]
    batches = sorted({row["batch"] for row in rows})
    figure, panels = plt.subplots(1, len(batches), figsize=(9, 3.5), sharey=True, layout="constrained")
    for panel, batch in zip(panels, batches, strict=True):
        here = [row for row in rows if row["batch"] == batch]
        bars = panel.barh([row["step"] for row in here], [row["us"] for row in here])
        panel.bar_label(bars, [f"{row['us']:.0f}" for row in here], padding=3)
        panel.set_xscale("log")
        panel.set_xlim(min(row["us"] for row in here) / 4, 5 * max(row["us"] for row in here))
        panel.set_title(f"batch {batch}")
        panel.set_xlabel("time of a step (us)")
    panels[0].invert_yaxis()
