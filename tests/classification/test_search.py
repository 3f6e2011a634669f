"""``layer="auto"``: the validation part decides, groups stay on one side, and luck does not count."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from statespace import Classifier, InputError, Regressor
from statespace.classification.search import CANDIDATES, is_better, losses

QUICK: dict[str, Any] = {
    "systems": 20, "d_model": 8, "n_layers": 1, "d_state": 8, "max_epochs": 25, "batch_size": 8, "learning_rate": 1e-2,
    "augmentation": 0.0, "verbose": False,
}  # fmt: skip


def test_what_is_only_luckier_is_not_better() -> None:
    """One standard error of discordant pairs is what a sign test finds at a sixth, one-sided."""
    for fewer, more in ((1, 0), (5, 4), (8, 2), (20, 14), (30, 29), (3, 3)):
        before = torch.cat([torch.ones(fewer), torch.zeros(more), torch.zeros(40)])
        new = torch.cat([torch.zeros(fewer), torch.ones(more), torch.zeros(40)])
        surely = binomtest(fewer, fewer + more, alternative="greater").pvalue
        if surely < 0.1:
            assert is_better(new, before)
        if surely > 0.5:
            assert not is_better(new, before)
    assert not is_better(torch.zeros(4), torch.zeros(4))


def test_losses_of_each_kind() -> None:
    scores, targets = torch.tensor([[2.0, -1.0], [-3.0, 0.5]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert losses("classes", scores, torch.eye(2)[[0, 0]]).tolist() == [0, 1]
    assert losses("labels", scores, targets).tolist() == [0, 0.5]
    assert losses("numbers", scores, targets).tolist() == [1.0, 8.125]


def test_the_model_that_was_kept_comes_back(tmp_path: Path) -> None:
    """Random systems do not see levels, by design, but for a step at the start; this level comes on slowly."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    noise = rng.standard_normal((60, 80))
    drifts = 0.4 * noise + np.where(y, 1.0, -1.0)[:, None] * np.minimum(np.arange(80) / 60, 1) ** 4
    tones = 0.2 * noise + np.sin(np.where(y, 0.5, 0.9)[:, None] * np.arange(80) + rng.uniform(0, 6, (60, 1)))
    assert Classifier("auto", **QUICK).fit(tones, y).layer_ == "responses"
    model = Classifier("auto", **QUICK).fit(drifts, y, groups=np.arange(60) // 2)
    assert model.layer_ in CANDIDATES
    assert model.layer == "auto"
    model.save(tmp_path / "model")
    again = Classifier.load(tmp_path / "model")
    assert (again.layer, again.layer_) == ("auto", model.layer_)
    np.testing.assert_array_equal(again.predict_proba(drifts), model.predict_proba(drifts))
    assert Regressor("auto", **QUICK | {"max_epochs": 1}).fit(tones, y * 1.0).layer_ in CANDIDATES


def test_without_a_part_to_compare_by_it_is_refused() -> None:
    X, y = np.random.default_rng(0).standard_normal((8, 20)), np.arange(8) % 2
    with pytest.raises(InputError, match="layer is 'auto', but no cases are left to compare by"):
        Classifier("auto", **QUICK, val_size=0).fit(X, y)
