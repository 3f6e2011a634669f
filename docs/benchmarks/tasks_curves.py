"""Draw the validation accuracy while training on selective copying, from what benchmarks/tasks.py measured."""

import json
from pathlib import Path

import matplotlib.pyplot as plt

file = Path("tasks-copying.json")
if file.exists():  # it does not in a tree in which the benchmark has not run yet
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for name, result in json.loads(file.read_text()).items():
        rows = result["curve"]
        axes.plot([row["step"] for row in rows], [100 * row["val_accuracy"] for row in rows], ".-", label=name)
    axes.axvspan(0, 7000, color="0.95", zorder=0)
    axes.annotate("shorter sequences", (3500, 90), ha="center", color="0.4")
    axes.set(xlabel="training step", ylabel="accuracy at length 256 (%)", ylim=(0, 104))
    axes.legend(loc="center left")
