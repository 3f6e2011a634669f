"""Draw time and memory of a token against the length of the context, from what benchmarks/streaming.py measured."""

import json
from pathlib import Path

import matplotlib.pyplot as plt

file = Path("streaming.json")
if file.exists():  # it does not in a tree in which the benchmark has not run yet
    rows = json.loads(file.read_text())["contexts"]
    contexts = [row["context"] for row in rows]
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for side in ("Transformer", "LSTM", "Mamba"):
        panels[0].loglog(contexts, [row[f"{side}, us"] for row in rows], ".-", base=2, label=side)
        panels[1].loglog(contexts, [row[f"{side}, MB"] for row in rows], ".-", base=2, label=side)
    panels[0].set_ylabel("time of the next token (us)")
    panels[1].set_ylabel("memory of the state (MB)")
    for panel in panels:
        panel.set_xlabel("tokens before")
        panel.set_yscale("log", base=10)
    panels[0].legend()
