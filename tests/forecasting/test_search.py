"""``layer="auto"``: it keeps what did best on the tail, within its budget, and is then the forecaster that it names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from statespace import Forecaster, InputError
from statespace.forecasting.search import FACTORS, SEARCHED, candidates
from statespace.layers import LAYERS
from statespace.training import ForecastModule

Small = Callable[..., Forecaster]
Table = Callable[..., pd.DataFrame]
STEPS = 48


@pytest.fixture(scope="module")
def frame(table: Table) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return table(60).assign(y=lambda frame: frame["y"] + 0.3 * rng.standard_normal(60))


@pytest.fixture(scope="module")
def auto(small: Small, frame: pd.DataFrame) -> Forecaster:
    """A forecaster that has searched; not to be changed."""
    return small(layer="auto", max_steps=STEPS, d_model=4).fit(frame)


def test_what_did_best_goes_on_and_is_chosen_within_the_budget(auto: Forecaster) -> None:
    trials = auto.trials_
    assert [trial.choice for trial in trials] == [
        {"layer": layer, "learning_rate": factor * auto.learning_rate} for factor in FACTORS for layer in SEARCHED
    ]
    assert sum(trial.steps for trial in trials) <= STEPS
    # Three rounds of 16 steps for 8, 4 and 2 candidates.
    assert sorted(trial.steps for trial in trials) == [2] * 4 + [2 + 4] * 2 + [2 + 4 + 8] * 2
    best = min(trials, key=lambda trial: trial.loss)
    assert np.isfinite(best.loss)
    assert auto.chosen_ == best.choice
    assert best.steps == 14
    assert len({trial.loss for trial in trials}) == len(trials)  # each has learnt something of its own


def test_it_is_the_forecaster_that_it_names(auto: Forecaster, small: Small, frame: pd.DataFrame) -> None:
    assert auto.chosen_ is not None
    named = small(max_steps=STEPS, d_model=4, alias="AUTO", **auto.chosen_).fit(frame)
    assert named.chosen_ is None
    assert named.outcome == auto.outcome
    pd.testing.assert_frame_equal(auto.predict(level=[80]), named.predict(level=[80]), check_exact=True)


def test_it_is_the_same_again_stored_and_cloned(auto: Forecaster, frame: pd.DataFrame, tmp_path: Path) -> None:
    copied = clone(auto)
    assert (copied.layer, copied.chosen_, copied.trials_) == ("auto", None, ())
    copied.fit(frame)
    auto.save(tmp_path / "model")
    stored = Forecaster.load(tmp_path / "model")
    assert stored.get_params() == auto.get_params()
    for other in (copied, stored):
        assert (other.chosen_, other.trials_) == (auto.chosen_, auto.trials_)
        pd.testing.assert_frame_equal(other.predict(), auto.predict(), check_exact=True)
    later = frame[:4].assign(ds=frame["ds"].iloc[-1] + pd.offsets.MonthBegin() * np.arange(1, 5))
    assert stored.update(later).predict()["AUTO"].notna().all()
    stored.fit(frame, warm_start=True)  # goes on with what was chosen, without a search
    assert (stored.chosen_, stored.trials_) == (auto.chosen_, auto.trials_)


def test_a_backtest_searches_before_its_cutoff(auto: Forecaster, small: Small, frame: pd.DataFrame) -> None:
    fresh = clone(auto)
    found = fresh.cross_validation(frame, refit=True)
    assert fresh.chosen_ is None
    known = frame[:-4]
    pd.testing.assert_series_equal(found["AUTO"], clone(auto).fit(known).predict()["AUTO"], check_exact=True)


def test_a_search_that_is_killed_goes_on(
    auto: Forecaster, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    taken, step = [0], ForecastModule.training_step

    def counted(self: ForecastModule, *args: object) -> object:
        if taken[0] == 21:  # in the second round
            raise KilledError
        taken[0] += 1
        return step(self, *args)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(ForecastModule, "training_step", counted)
    fc = clone(auto)
    with pytest.raises(KilledError):
        fc.fit(frame, checkpoint=tmp_path / "run")
    taken[0] = -10_000
    fc.fit(frame, checkpoint=tmp_path / "run")
    assert auto.outcome is not None
    assert taken[0] + 10_000 == sum(trial.steps for trial in auto.trials_) - 20 + auto.outcome.steps
    assert (fc.chosen_, fc.trials_) == (auto.chosen_, auto.trials_)
    pd.testing.assert_frame_equal(fc.predict(), auto.predict(), check_exact=True)
    assert not (tmp_path / "run").exists()


def test_a_small_budget_tries_less_and_irregular_stamps_want_layers_that_know_time() -> None:
    counts = [len(candidates(1e-3, steps, False)) for steps in range(1, 40)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, len(SEARCHED) * len(FACTORS))
    assert all(count == 1 or count * np.ceil(np.log2(count)) <= steps for steps, count in enumerate(counts, 1))
    irregular = {trial.layer for trial in candidates(1e-3, 500, True)}
    assert irregular == {name for name in SEARCHED if LAYERS[name].capabilities.irregular}


def test_without_a_tail_it_is_refused(small: Small, frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="layer is 'auto', but no steps are left to compare by: raise val_size"):
        small(layer="auto", val_size=0).fit(frame)


def test_where_nothing_was_observed_nothing_is_searched(small: Small, frame: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="nothing was observed"):
        fc = small(layer="auto").fit(frame.assign(y=np.nan))
    assert (fc.chosen_, fc.trials_, fc.outcome) == (None, (), None)
    fc.save(tmp_path / "model")
    assert Forecaster.load(tmp_path / "model").predict()["AUTO"].isna().all()
