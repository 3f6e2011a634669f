"""Pictures of an evaluation: what is confused with what, ROC, calibration, the hardest examples, and what told them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from statespace.classification.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _MARK, _PALE = "#33415c", "#c8553d", "#8d99ae"
_NAMED = 30  # classes whose names fit on an axis
_DRAWN = 2000  # samples that a small picture can show
_STRIPES = 120  # shades of one signal


def _clean(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def confusion(found: Evaluation, path: Path) -> None:
    """Draw the confusion matrix: shares of each class in colour, numbers of cases in writing."""
    from matplotlib.figure import Figure

    table = found.confusion()
    count = len(table)
    size = min(4 + 0.4 * count, 14.0)
    canvas = Figure(figsize=(size + 1, size), layout="constrained")  # belongs to no window
    axes = canvas.subplots()
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    canvas.colorbar(picture, ax=axes, label="share of the class", shrink=0.8)
    if count <= _NAMED:
        axes.set_xticks(range(count), found.classes, rotation=45, ha="right", parse_math=False)
        axes.set_yticks(range(count), found.classes, parse_math=False)
        for row, column in zip(*np.nonzero(table), strict=True):
            ink = "white" if shares[row, column] > 0.5 else _INK
            axes.text(column, row, str(table[row, column]), ha="center", va="center", color=ink, fontsize=8)
    axes.set_xlabel("said")
    axes.set_ylabel("true")
    axes.set_title(f"{found.summary()['accuracy']:.1%} of {len(found.truth)} cases are right")
    canvas.savefig(path, dpi=110)


def roc(found: Evaluation, path: Path) -> None:
    """Draw the ROC curve of each class against the others."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(6, 5), layout="constrained")
    axes = canvas.subplots()
    table = found.by_class()
    for number, (name, area) in enumerate(zip(table["class"], table["auc"], strict=True)):
        if np.isfinite(area):
            label = f"{name}: {area:.3f}" if len(table) <= _NAMED // 2 else None
            axes.step(*found.roc(number), where="post", linewidth=1.2, label=label)
    axes.plot([0, 1], [0, 1], color=_PALE, linewidth=1, linestyle="--")
    axes.set_xlabel("share of the other cases that are called it")
    axes.set_ylabel("share of its cases that are called it")
    axes.set_title("each class against the others, and the area below")
    _clean(axes)
    if axes.get_legend_handles_labels()[1]:
        for text in axes.legend(fontsize=8, frameon=False).get_texts():
            text.set_parse_math(False)
    canvas.savefig(path, dpi=110)


def calibration(found: Evaluation, path: Path) -> None:
    """Draw how often the probabilities are right, and how often each is said."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(6, 5), layout="constrained")
    above, below = canvas.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    bins = found.calibration()
    above.plot([0, 1], [0, 1], color=_PALE, linewidth=1, linestyle="--")
    above.plot(bins["probability"], bins["right"], "o-", color=_MARK, markersize=4)
    above.set_ylabel("share that is right")
    above.set_title(f"expected calibration error {found.summary()['expected_calibration_error']:.3f}")
    below.bar(bins["probability"], bins["cases"], width=0.03, color=_INK)
    below.set_ylabel("cases")
    below.set_xlabel("probability of the class that was said")
    for axes in (above, below):
        _clean(axes)
    canvas.savefig(path, dpi=110)


def telling(found: Evaluation, count: int) -> np.ndarray:
    """Return cases that show what tells classes: of each of the first classes the surest that is right, if any is."""
    right = found.said == found.truth
    chosen = []
    for number in range(len(found.classes)):
        own = np.flatnonzero(right & (found.truth == number))
        if len(own):
            chosen.append(int(own[found.of_truth[own].argmax()]))
    return np.array(chosen[:count], int)


def attribution(
    found: Evaluation,
    rows: np.ndarray,
    brought: list[np.ndarray],
    signals: Sequence[np.ndarray],
    rates: list[float | None],
    path: Path,
) -> None:
    """Draw where in signals the class that was said comes from: red speaks for it, blue against.

    Args:
        found: the evaluation.
        rows: cases to draw.
        brought: by each sample of each of them; see `Classifier.attribute`.
        signals: of all cases, ``(channels, n)`` each.
        rates: of each in Hz, ``None`` where it is not known.
        path: the file.
    """
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9, 1.9 * len(rows) + 0.4), layout="constrained")
    canvas.suptitle("red speaks for the class that was said, blue against it", fontsize=10)
    for axes, row, each in zip(canvas.subplots(len(rows), 1, squeeze=False)[:, 0], rows, brought, strict=True):
        signal, rate = signals[row], rates[row]
        smooth = _smoothed(each, _STRIPES)
        span = np.abs(smooth).max() or 1.0
        low, high = np.nanmin(signal), np.nanmax(signal)
        picture = axes.imshow(
            smooth[None], cmap="coolwarm", vmin=-span, vmax=span, aspect="auto", alpha=0.8,
            extent=(0, len(each) / (rate or 1), low, high),
        )  # fmt: skip
        every = max(1, signal.shape[1] // _DRAWN)
        time = np.arange(signal.shape[1]) / (rate or 1)
        for channel in signal:
            axes.plot(time[::every], channel[::every], linewidth=0.7, color=_INK)
        said = found.said[row]
        axes.set_title(
            f"{found.names[row]}: said {found.classes[said]} ({found.probabilities[row, said]:.0%})",
            fontsize=9,
            parse_math=False,
        )
        axes.set_xlabel("s" if rate else "sample", fontsize=8)
        canvas.colorbar(picture, ax=axes, ticks=[-span, 0, span]).set_ticklabels(["−", "0", "+"])
    canvas.savefig(path, dpi=110)


def _smoothed(each: np.ndarray, count: int) -> np.ndarray:
    """Return means over at most `count` equal pieces: single samples would be finer than ink."""
    return np.array([piece.mean() for piece in np.array_split(each, min(count, len(each)))])


def hardest(
    found: Evaluation, signals: Sequence[np.ndarray], rates: list[float | None], count: int, path: Path
) -> None:
    """Draw the cases whose true class was given the least probability.

    Args:
        found: the evaluation.
        signals: of its cases, ``(channels, n)`` each.
        rates: of each in Hz, ``None`` where it is not known.
        count: how many to draw.
        path: the file.
    """
    from matplotlib.figure import Figure

    rows = np.argsort(found.of_truth, kind="stable")[:count]
    canvas = Figure(figsize=(9, 1.9 * len(rows)), layout="constrained")
    for axes, row in zip(canvas.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
        signal, rate = signals[row], rates[row]
        every = max(1, signal.shape[1] // _DRAWN)
        time = np.arange(signal.shape[1]) / (rate or 1)
        for channel in signal:
            axes.plot(time[::every], channel[::every], linewidth=0.7)
        said = found.said[row]
        axes.set_title(
            f"{found.names[row]}: is {found.classes[found.truth[row]]} ({found.of_truth[row]:.0%}), "
            f"said {found.classes[said]} ({found.probabilities[row, said]:.0%})",
            fontsize=9,
            parse_math=False,
        )
        axes.set_xlabel("s" if rate else "sample", fontsize=8)
        _clean(axes)
    canvas.savefig(path, dpi=110)
