"""An evaluation as a folder: numbers, tables, pictures, and a page with all of them; whole or not at all."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from statespace.classification import figures
from statespace.classification.evaluation import Evaluation
from statespace.classification.page import page
from statespace.files import replace_folder_atomically
from statespace.plotting import plotting_is_possible

# What an earlier evaluation may have left in the folder and this one may not replace by the same name.
STALE = ("confusion.png", "roc.png", "calibration.png", "hardest.png", "attribution.png")
_HARDEST = 6
_TELLING = 6
_LISTED = 50  # cases on the page


def write(
    found: Evaluation,
    signals: Sequence[np.ndarray],
    rates: list[float | None],
    folder: Path | str,
    title: str,
    attribute: Callable[[int], np.ndarray] | None = None,
) -> list[str]:
    """Write an evaluation to a folder.

    Args:
        found: the evaluation.
        signals: of its cases, ``(channels, n)`` each.
        rates: of each in Hz, ``None`` where it is not known.
        folder: where to; other files that are there stay.
        title: of the page.
        attribute: gives what each sample of a case, by its number, brings to the class that was said; see
            `Classifier.attribute`.
    Returns:
        The names of the files that were written; without pictures where matplotlib is missing.
    Raises:
        InputError: the folder cannot be written.
    """
    summary, by_class = found.summary(), found.by_class()
    confusion = pd.DataFrame(found.confusion(), columns=found.classes)
    confusion.insert(0, "class", found.classes, allow_duplicates=True)
    tables = {
        "by_class.csv": by_class,
        "confusion.csv": confusion,
        "calibration.csv": found.calibration(),
        "predictions.csv": found.predictions(),
    }
    with replace_folder_atomically("classify eval", folder, STALE) as fresh:
        text = {"classes": found.classes, **summary, "by_class": by_class.to_dict("records")}
        (fresh / "metrics.json").write_text(json.dumps(_plain(text), indent=1) + "\n", encoding="utf-8")
        for name, table in tables.items():
            table.to_csv(fresh / name, index=False)
        pictures: list[tuple[str, Path]] = []
        if plotting_is_possible():
            pictures = [
                ("What is confused with what", fresh / "confusion.png"),
                ("ROC", fresh / "roc.png"),
                ("Calibration", fresh / "calibration.png"),
                ("The hardest examples", fresh / "hardest.png"),
            ]
            figures.confusion(found, fresh / "confusion.png")
            figures.roc(found, fresh / "roc.png")
            figures.calibration(found, fresh / "calibration.png")
            figures.hardest(found, signals, rates, _HARDEST, fresh / "hardest.png")
            rows = figures.telling(found, _TELLING)
            if attribute is not None and len(rows):
                brought = [attribute(int(row)) for row in rows]
                figures.attribution(found, rows, brought, signals, rates, fresh / "attribution.png")
                pictures.append(("Where the decision came from", fresh / "attribution.png"))
        shown = {
            "Class by class": by_class,
            "Confusion: rows are true, columns are said": confusion,
            "The least probable cases": tables["predictions.csv"].iloc[:_LISTED, :4],
        }
        (fresh / "report.html").write_text(page(title, summary, shown, pictures), encoding="utf-8")
    return ["report.html", "metrics.json", *tables, *(path.name for _, path in pictures)]


def _plain(value: object) -> object:
    """Turn NaN, which JSON does not know, into null."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
