"""Probabilities: as sure as so many cases can be where all are told right, and as before where some are not."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss

from statespace import Classifier
from statespace.classification.calibration import fit_sharpness

STEP = 1.13  # ratio of two factors that are tried


@pytest.mark.parametrize("count", [10, 1000])
def test_where_all_are_told_right_the_factor_is_that_of_platts_targets(count: int) -> None:
    """Scores of ±1: the loss is least where p is the target itself, (n + 1/2) / (n + 1), of logit log(2 n + 1)."""
    y = torch.eye(2)[torch.arange(count) % 2]
    ones, wanted = torch.ones(count), np.log(2 * count + 1)
    assert fit_sharpness("labels", 2 * y - 1, y, ones) == pytest.approx(wanted, rel=STEP - 1)
    assert fit_sharpness("classes", 2 * y - 1, y, ones) == pytest.approx(wanted / 2, rel=STEP - 1)


def test_what_is_calibrated_stays_as_it_is() -> None:
    """Classes drawn with the probabilities that scores stand for: what is least by scipy, of zeros and ones."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((400, 3))
    p = softmax(3 * scores, 1)
    y = (rng.random((400, 1)) > p.cumsum(1)).sum(1)
    plain = minimize_scalar(lambda tau: log_loss(y, softmax(tau * scores, 1)), (1, 5)).x
    found = fit_sharpness("classes", torch.from_numpy(scores), torch.eye(3, dtype=torch.float64)[y], torch.ones(400))
    assert found == pytest.approx(plain, rel=STEP - 1)
    assert log_loss(y, softmax(found * scores, 1)) == pytest.approx(log_loss(y, p), abs=0.01)


def test_a_case_that_is_told_wrong_costs_what_so_few_cases_may() -> None:
    """The noise of training leaves two pitches apart; that of others does not, and half of them are told wrong."""
    rng = np.random.default_rng(0)
    y, t = np.arange(40) % 2, np.arange(100)

    def noisy(strength: float) -> np.ndarray:
        phase = rng.uniform(0, 6, (40, 1))
        return np.sin(np.where(y[:, None], 0.3, 0.36) * t + phase) + strength * rng.standard_normal((40, 100))

    model = Classifier(systems=100, verbose=False).fit(noisy(0.2), y)
    assert (model.validation_scores_.argmax(1) == y).all()
    assert log_loss(y, model.predict_proba(noisy(0.2))[:, 1]) < 0.05
    assert log_loss(y, model.predict_proba(noisy(2.0))[:, 1]) < np.log(81)  # what one that is told wrong costs at ±1
