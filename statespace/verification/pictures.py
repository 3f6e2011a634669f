"""The picture of a verification: error over step, one panel a method."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from statespace.errors import InputError


def error_over_dt(table: pd.DataFrame, path: Path | str | None = None, figure: Any = None) -> Any:
    """Draw the worst relative error of the matrices over the step, system by system, with the tolerance.

    Args:
        table: what `verify` or `verify_families` gave.
        path: where to write a PNG; not written if left out.
        figure: an empty figure of matplotlib to draw in, such as ``plt.figure()``; a new one if left out.
    Returns:
        The figure of matplotlib.
    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        figure_module = import_module("matplotlib.figure")
    except ImportError as error:
        raise InputError('error_over_dt: matplotlib is missing: pip install "statespace[plot]".') from error
    methods = list(dict.fromkeys(table["method"]))
    systems = list(dict.fromkeys(table["system"]))
    columns = min(3, len(methods))
    rows = -(-len(methods) // columns)
    if figure is None:
        figure = figure_module.Figure()
    figure.set_size_inches(4 * columns, 2.8 * rows)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    colours = import_module("matplotlib").colormaps["viridis"]
    for panel, method in zip(panels, methods, strict=False):
        part = table[table["method"] == method]
        for index, system in enumerate(systems):
            lines = part[part["system"] == system].sort_values("dt")
            worst = lines[["A", "B", "C", "D"]].max(axis=1).clip(lower=1e-18)
            colour = colours(index / max(len(systems) - 1, 1))
            panel.loglog(lines["dt"], worst, ".-", color=colour, linewidth=0.8, label=system)
            panel.loglog(lines["dt"], lines["tolerance"], ":", color=colour, linewidth=0.6)
        panel.set_title(method, fontsize=10)
        panel.grid(alpha=0.3)
    for panel in list(panels):
        panel.set_visible(False)
    figure.supxlabel("step dt (s)")
    figure.supylabel("worst relative error of A, B, C, D (dotted: tolerance)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=7)
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure
