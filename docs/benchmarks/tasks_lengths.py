"""Draw how induction heads hold at lengths beyond that of training, from what benchmarks/tasks.py measured."""

import json
from pathlib import Path

import matplotlib.pyplot as plt

file = Path("tasks-induction.json")
if file.exists():  # it does not in a tree in which the benchmark has not run yet
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for name, result in json.loads(file.read_text()).items():
        lengths = [int(length) for length in result["lengths"]]
        axes.semilogx(lengths, [100 * right for right, _ in result["lengths"].values()], ".-", base=2, label=name)
    axes.axvline(256, color="0.6", linestyle=":")
    axes.annotate("length of training", (256, 30), rotation=90, ha="right", color="0.4")
    axes.axhline(100 / 15, color="0.8", zorder=0)
    axes.set(xlabel="length of the sequence", ylabel="accuracy (%)", ylim=(0, 104))
    axes.legend()
