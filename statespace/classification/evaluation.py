"""How good probabilities of classes are: what is confused with what, class by class, and how sure one may be.

    precision = right / said,    recall = right / there,    F1 = 2 right / (said + there)
    expected calibration error = Σ_bins (cases in bin / cases) |share that is right - mean probability|

over bins of equal width of the probability of the class that was said.

Source: Naeini, Cooper, Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015, for the
expected calibration error; Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 27(8), 2006.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

BINS = 15


@dataclass(frozen=True)
class Evaluation:
    """What was found on cases whose classes are known.

    Attributes:
        classes: names of the classes, in order.
        names: of the cases.
        truth: number of the class of each case, ``(b,)``.
        probabilities: ``(b, k)``.
    """

    classes: list[str]
    names: list[str]
    truth: np.ndarray
    probabilities: np.ndarray

    @property
    def said(self) -> np.ndarray:
        """Number of the most probable class of each case, ``(b,)``."""
        found: np.ndarray = self.probabilities.argmax(1)
        return found

    @property
    def of_truth(self) -> np.ndarray:
        """Probability of the class that was true, ``(b,)``."""
        found: np.ndarray = self.probabilities[np.arange(len(self.truth)), self.truth]
        return found

    def confusion(self) -> np.ndarray:
        """Return how many cases of each class, in rows, were said to be of each, in columns."""
        table = np.zeros((len(self.classes), len(self.classes)), int)
        np.add.at(table, (self.truth, self.said), 1)
        return table

    def by_class(self) -> pd.DataFrame:
        """Return precision, recall, F1 and area under the ROC curve for each class; NaN where one is not defined."""
        table = self.confusion()
        right, there, said = np.diag(table), table.sum(1), table.sum(0)
        with np.errstate(invalid="ignore"):
            columns = {"precision": right / said, "recall": right / there, "f1": 2 * right / (said + there)}
        areas = [self._area(number) for number in range(len(self.classes))]
        return pd.DataFrame({"class": self.classes, **columns, "auc": areas, "cases": there})

    def roc(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the shares of false and of true alarms for one class against the others, from no alarm on."""
        scores = self.probabilities[:, number]
        order = np.argsort(-scores, kind="stable")
        last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of those with the same probability
        hit = self.truth[order] == number
        with np.errstate(invalid="ignore"):
            false, true = np.cumsum(~hit)[last] / (~hit).sum(), np.cumsum(hit)[last] / hit.sum()
        return np.append(0.0, false), np.append(0.0, true)

    def _area(self, number: int) -> float:
        false, true = self.roc(number)
        return float((np.diff(false) * (true[1:] + true[:-1]) / 2).sum())

    def calibration(self) -> pd.DataFrame:
        """Return, for each bin with cases, its upper edge, mean probability, share that is right, and cases."""
        sure, right = self.probabilities.max(1), self.said == self.truth
        bins = np.clip(np.ceil(sure * BINS).astype(int), 1, BINS)
        rows = [
            ((number / BINS), sure[bins == number].mean(), right[bins == number].mean(), int((bins == number).sum()))
            for number in np.unique(bins)
        ]
        return pd.DataFrame(rows, columns=["up_to", "probability", "right", "cases"])

    def summary(self) -> dict[str, Any]:
        """Return the numbers for all classes together, ready for JSON."""
        table, bins = self.by_class(), self.calibration()
        error = float((bins["cases"] * (bins["right"] - bins["probability"]).abs()).sum() / len(self.truth))
        return {
            "cases": len(self.truth),
            "accuracy": float((self.said == self.truth).mean()),
            "balanced_accuracy": float(table["recall"].mean()),
            "macro_f1": float(table["f1"].mean()),
            "log_loss": float(0 - np.log(self.of_truth.clip(min=1e-15)).mean()),
            "expected_calibration_error": error,
        }

    def predictions(self) -> pd.DataFrame:
        """Return a row for each case, the hardest first: what it is, what was said, and the probabilities."""
        table = predictions(self.classes, self.names, self.probabilities)
        table.insert(1, "truth", [self.classes[number] for number in self.truth])
        return table.iloc[np.argsort(self.of_truth, kind="stable")].reset_index(drop=True)


def predictions(classes: Sequence[str], names: Sequence[str], probabilities: np.ndarray) -> pd.DataFrame:
    """Return a row for each case: the class that is said, and the probability of each.

    Args:
        classes: names of the classes.
        names: of the cases.
        probabilities: ``(b, k)``.
    Returns:
        A table with the columns ``name``, ``label``, ``probability`` and ``p_<class>`` for each.
    """
    said = probabilities.argmax(1)
    first = {"name": list(names), "label": [classes[number] for number in said], "probability": probabilities.max(1)}
    return pd.DataFrame(first | {f"p_{name}": probabilities[:, column] for column, name in enumerate(classes)})
