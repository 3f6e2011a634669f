"""Numbers, tables and pages of an evaluation, beside scikit-learn's."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from statespace.classification import report
from statespace.classification.evaluation import BINS, Evaluation, predictions

NAMES = ["a", "b<i>", "$c_$", "never"]


@pytest.fixture
def found() -> Evaluation:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 80)  # the fourth class has no cases
    scores = rng.standard_normal((80, 4)) + 1.5 * np.eye(4)[truth] - [0, 0, 0, 9]
    probabilities = np.round(np.exp(scores) / np.exp(scores).sum(1, keepdims=True), 2)  # with ties
    return Evaluation(NAMES, [f"x/{row}.wav" for row in range(80)], truth, probabilities)


def test_numbers_are_those_of_scikit_learn(found: Evaluation) -> None:
    labels = range(4)
    np.testing.assert_array_equal(found.confusion(), metrics.confusion_matrix(found.truth, found.said, labels=labels))
    table = found.by_class().iloc[:3]
    precision, recall, f1, cases = metrics.precision_recall_fscore_support(found.truth, found.said, labels=[0, 1, 2])
    for name, want in (("precision", precision), ("recall", recall), ("f1", f1), ("cases", cases)):
        np.testing.assert_allclose(table[name], want)
    areas = [metrics.roc_auc_score(found.truth == k, found.probabilities[:, k]) for k in range(3)]
    np.testing.assert_allclose(table["auc"], areas)
    summary = found.summary()
    assert summary["accuracy"] == pytest.approx(metrics.accuracy_score(found.truth, found.said))
    assert summary["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(found.truth, found.said))
    assert summary["macro_f1"] == pytest.approx(metrics.f1_score(found.truth, found.said, average="macro"))
    assert np.isnan(found.by_class().iloc[3][["precision", "recall", "f1", "auc"]].astype(float)).all()


def test_calibration_of_guesses_that_are_right_as_often_as_they_say() -> None:
    # 10 cases at 0.7, 7 of them right; 10 at 0.9, 5 of them right: off by 0 and by 0.4
    sure = np.repeat([0.7, 0.9], 10)
    truth = np.array([0] * 7 + [1] * 3 + [0] * 5 + [1] * 5)
    found = Evaluation(["a", "b"], [str(row) for row in range(20)], truth, np.stack([sure, 1 - sure], 1))
    assert found.summary()["expected_calibration_error"] == pytest.approx(0.2)
    bins = found.calibration()
    assert bins["cases"].tolist() == [10, 10]
    np.testing.assert_allclose(bins["right"], [0.7, 0.5])
    assert (bins["up_to"] >= bins["probability"]).all()
    assert (bins["up_to"] - bins["probability"] < 1 / BINS).all()


def test_predictions() -> None:
    table = predictions(["a", "b"], ["x", "y"], np.array([[0.25, 0.75], [1, 0]]))
    assert list(table) == ["name", "label", "probability", "p_a", "p_b"]
    assert table["label"].tolist() == ["b", "a"]
    assert table["probability"].tolist() == [0.75, 1]


def test_the_folder(found: Evaluation, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    signals = [rng.standard_normal((2, 50)) for _ in range(80)]
    asked: list[int] = []

    def attribute(row: int) -> np.ndarray:
        asked.append(row)
        return signals[row][0]

    written = report.write(found, signals, [8000.0, None] * 40, tmp_path / "r", "model <on> data", attribute)
    assert all(found.said[row] == found.truth[row] for row in asked)  # a case for each class, and one that is right
    assert sorted(found.truth[asked]) == sorted(set(found.truth[found.said == found.truth]))
    assert sorted(written) == sorted(path.name for path in (tmp_path / "r").iterdir())
    for name in ("confusion.png", "roc.png", "calibration.png", "hardest.png", "attribution.png"):
        assert (tmp_path / "r" / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    text = (tmp_path / "r" / "metrics.json").read_text()
    numbers = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert numbers["accuracy"] == found.summary()["accuracy"]
    assert numbers["by_class"][3]["recall"] is None
    page = (tmp_path / "r" / "report.html").read_text()
    assert "model &lt;on&gt; data" in page
    assert "b&lt;i&gt;" in page
    assert "<i>" not in page
    assert page.count("data:image/png;base64,") == 5
    assert not re.findall(r'(?:src|href)="(?!data:)', page)  # nothing from elsewhere
    cases = pd.read_csv(tmp_path / "r" / "predictions.csv")
    want = found.probabilities[np.arange(80), found.truth]
    assert cases["name"][0] == f"x/{int(want.argmin())}.wav"
    assert pd.read_csv(tmp_path / "r" / "confusion.csv").iloc[:, 1:].to_numpy().sum() == 80


def test_without_matplotlib_the_page_stands_alone(
    found: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "roc.png").write_text("of an earlier run")
    (tmp_path / "mine.txt").write_text("stays")
    monkeypatch.setattr(report, "plotting_is_possible", lambda: False)
    report.write(found, [np.zeros((1, 3))] * 80, [None] * 80, tmp_path, "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "by_class.csv",
        "calibration.csv",
        "confusion.csv",
        "metrics.json",
        "mine.txt",
        "predictions.csv",
        "report.html",
    ]
