"""Scores that are mixed: against SciPy's minimum of the same sum, and classes that lie between others."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax

from statespace import Classifier
from statespace.classification.calibration import fit_sharpness, soft_targets
from statespace.classification.mixing import _fitted, fit_mixing

RNG = np.random.default_rng(0)


def between(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise of three loudnesses."""
    y = np.arange(count) % 3
    return 1.3 ** y[:, None] * RNG.standard_normal((count, 200)), y


def masked(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores of a line that is fitted to zeros and ones: that of the class in the middle says nothing."""
    y = torch.arange(count) % 3
    x = y - 1 + 0.3 * torch.as_tensor(RNG.standard_normal(count))
    return torch.stack([0.33 - x / 2, torch.full_like(x, 0.33), 0.33 + x / 2], 1), torch.eye(3, dtype=x.dtype)[y]


def test_it_is_the_minimum_by_scipy() -> None:
    s, y = masked(60)
    s = s + 0.05 * torch.as_tensor(RNG.standard_normal(s.shape))
    w = torch.as_tensor(RNG.uniform(0.5, 2.0, 60))
    sharp, penalty, t = 3.0, 0.7, soft_targets("classes", y).numpy()

    def loss(x: np.ndarray) -> float:
        W, b = x[:9].reshape(3, 3), x[9:]
        said = -(w.numpy()[:, None] * t * log_softmax(s.numpy() @ W + b, 1)).sum()
        return float(said + penalty * (((W - sharp * np.eye(3)) ** 2).sum() / sharp**2 + (b**2).sum()))

    wanted = minimize(loss, np.concatenate([sharp * np.eye(3).ravel(), np.zeros(3)]), options={"gtol": 1e-8})
    W, b = _fitted(s, y, w, sharp, penalty)
    assert loss(np.concatenate([W.numpy().ravel(), b.numpy()])) == pytest.approx(wanted.fun, abs=1e-6)
    np.testing.assert_allclose(W.numpy(), wanted.x[:9].reshape(3, 3), atol=0.02)


def test_a_class_between_two_others_is_told() -> None:
    s, y = masked(150)
    found = fit_mixing(s, y, torch.ones(150))
    assert found is not None
    truth = y.argmax(1)
    assert (s.argmax(1) == truth).double().mean() < 0.7
    assert (found.left_out.argmax(1) == truth).double().mean() > 0.85
    mixed, wanted = masked(3000)
    right = (mixed @ found.weights + found.offset).argmax(1) == wanted.argmax(1)
    assert right.double().mean() > 0.85


def test_scores_that_are_as_they_should_be_are_not_mixed() -> None:
    scores = torch.as_tensor(RNG.standard_normal((300, 3)))
    p = torch.softmax(3 * scores, 1)
    y = torch.eye(3, dtype=torch.float64)[torch.multinomial(p, 1, generator=torch.Generator().manual_seed(0))[:, 0]]
    assert fit_mixing(scores, y, torch.ones(300)) is None


def test_groups_are_left_out_as_a_whole() -> None:
    """What tells is how each group is off, which says nothing of another."""
    groups = torch.arange(120) // 12
    y = torch.eye(2, dtype=torch.float64)[torch.arange(120) % 2]
    off = torch.as_tensor(RNG.standard_normal(10))[groups, None]
    scores = y + off * torch.tensor([[1.0, -1.0]]) + 0.1 * torch.as_tensor(RNG.standard_normal((120, 2)))
    found = fit_mixing(scores, y, torch.ones(120), groups)
    if found is not None:  # then it is by what holds for others
        plain = fit_sharpness("classes", scores, y, torch.ones(120)) * scores
        assert (y * torch.log_softmax(found.left_out, 1)).sum() > (y * torch.log_softmax(plain, 1)).sum()


def test_the_loudness_in_the_middle_is_told_by_the_classifier() -> None:
    X, y = between(90)
    model = Classifier(systems=100, verbose=False).fit(X, y)
    X_test, y_test = between(150)
    said = model.predict(X_test)
    assert (said[y_test == 1] == 1).mean() > 0.8
    assert model.score(X_test, y_test) > 0.85
    signs = model.model_.over_time(model._ready("test", X_test[:5], 1.0), torch.tensor([1] * 5), 1.0)
    scores = model._scores("test", X_test, 1.0)[:5, 1] - model.model_.readout(1.0).offset[1]
    torch.testing.assert_close(signs.sum(1), scores, rtol=1e-3, atol=1e-3)
