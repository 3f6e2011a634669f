"""Draw what each layer costs at three lengths, from what benchmarks/family.py measured."""

import json
from pathlib import Path

import matplotlib.pyplot as plt

file = Path("family.json")
if file.exists():  # it does not in a tree in which the benchmark has not run yet
    rows = json.loads(file.read_text())["time"]["default"]
    lengths = sorted({row["L"] for row in rows})
    first = [row for row in rows if row["L"] == lengths[-1]]
    layers = [row["layer"] for row in sorted(first, key=lambda row: row["training, ms"])]
    shown = {
        "training, ms": ("a training step (ms)", [100, 1000, 10_000]),
        "peak memory, MB": ("peak memory of it (MB)", [100, 200, 500]),
        "streaming, µs": ("a streaming step (µs)", [500, 1000, 5000, 20_000]),
    }
    figure, panels = plt.subplots(1, 3, figsize=(10, 4.5), sharey=True, layout="constrained")
    for panel, (column, (label, ticks)) in zip(panels, shown.items(), strict=True):
        for length, marker in zip(lengths, "o^s", strict=False):
            of = {row["layer"]: row[column] for row in rows if row["L"] == length}
            panel.plot([of[layer] for layer in layers], range(len(layers)), marker, label=f"L = {length}", alpha=0.8)
        panel.set_xscale("log")
        panel.set_xticks(ticks, map(str, ticks))
        panel.set_xticks([], minor=True)
        panel.set_xlabel(label)
        panel.grid(alpha=0.3)
    panels[0].set_yticks(range(len(layers)), layers)
    panels[0].invert_yaxis()
    panels[0].legend()
