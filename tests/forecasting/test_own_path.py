"""Series that were trained on may have a part of the linear path of their own; others have the common one alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster
from statespace.errors import InputError
from statespace.models import linear_path

OPTIONS = {"input_size": 12, "max_steps": 2, "d_model": 4, "n_layers": 1, "d_state": 4, "verbose": False}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Two oscillations with noise, of periods that no single line of weights serves."""
    rng, steps = np.random.default_rng(0), 400
    parts = []
    for name, period in (("slow", 23.0), ("fast", 5.3)):
        x = np.zeros(steps)
        for t in range(2, steps):
            x[t] = 2 * 0.97 * np.cos(2 * np.pi / period) * x[t - 1] - 0.97**2 * x[t - 2] + rng.standard_normal()
        parts.append(pd.DataFrame({"unique_id": name, "ds": pd.date_range("2024", periods=steps), "y": x}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def fitted(table: pd.DataFrame) -> Forecaster:
    return Forecaster(3, season_length=1, **OPTIONS).fit(table)


def test_known_series_are_forecast_by_their_own_part_and_others_by_the_common_one(
    fitted: Forecaster, table: pd.DataFrame
) -> None:
    own = fitted.predict()
    pd.testing.assert_frame_equal(fitted.predict(table), own)
    renamed = fitted.predict(table.replace({"unique_id": {"slow": "another", "fast": "yet another"}}))
    by_common = fitted.predict(table, known_as={})
    np.testing.assert_allclose(renamed["S4D"], by_common.sort_values("unique_id", ascending=False)["S4D"], rtol=1e-5)
    assert np.abs(by_common["S4D"] - own["S4D"]).max() > 0.1
    known_as = {"another": "slow", "yet another": "fast"}
    other = fitted.predict(table.replace({"unique_id": {n: o for o, n in known_as.items()}}), known_as=known_as)
    np.testing.assert_allclose(other["S4D"], own.sort_values("unique_id", ascending=False)["S4D"], rtol=1e-5)


def test_a_window_of_a_known_series_is_read_in_the_units_of_the_whole(fitted: Forecaster, table: pd.DataFrame) -> None:
    windows = table.groupby("unique_id").tail(OPTIONS["input_size"])
    pd.testing.assert_frame_equal(fitted.predict(windows), fitted.predict())


@pytest.mark.parametrize(
    ("known_as", "message"),
    [
        ({"slow": "slower"}, "known_as names series 'slower', which was not trained on"),
        ({"slower": "slow"}, "known_as names series 'slower', which is not in df"),
        ("slow", "known_as is a str, but a dict is expected"),
    ],
)
def test_names_that_are_not_there_are_told(
    known_as: object, message: str, fitted: Forecaster, table: pd.DataFrame
) -> None:
    with pytest.raises(InputError, match=message):
        fitted.predict(table, known_as=known_as)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="known_as is given without df"):
        fitted.predict(known_as={})


def test_what_is_its_own_serves_a_series(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against one forecaster for each series, and against one without such parts."""
    fc = Forecaster(3, season_length=1, **OPTIONS)

    def error(tables: list[pd.DataFrame]) -> float:
        found = pd.concat([fc.cross_validation(one, n_windows=20, step_size=3) for one in tables])
        return float((found["S4D"] - found["y"]).abs().mean())

    own, alone = error([table]), error([one for _, one in table.groupby("unique_id")])
    monkeypatch.setattr(linear_path, "MOST_OWN", 0)
    common = error([table])
    assert own < 1.05 * alone
    assert own < 0.9 * common


def test_a_folder_and_new_rows_keep_what_is_a_series_own(
    fitted: Forecaster, table: pd.DataFrame, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "model")
    pd.testing.assert_frame_equal(Forecaster.load(tmp_path / "model").predict(), fitted.predict())
    short = table[table.groupby("unique_id").cumcount() < 390]
    late = table[table.groupby("unique_id").cumcount() >= 390]
    fc = Forecaster(3, season_length=1, **OPTIONS).fit(short)
    whole = fc.predict(table)
    fc.update(late)
    # What is carried was normalised by the window of when it was read, so it is the same but for that.
    np.testing.assert_allclose(fc.predict()["S4D"], whole["S4D"], atol=0.1 * table["y"].std())


def test_training_goes_on_with_other_series(table: pd.DataFrame) -> None:
    fc = Forecaster(3, season_length=1, **OPTIONS).fit(table)
    third = table[table["unique_id"] == "fast"].assign(unique_id="third")
    fc.fit(pd.concat([table, third]), warm_start=True)
    assert set(fc.predict()["unique_id"]) == {"slow", "fast", "third"}
    fc.fit(third, warm_start=True)
    assert len(fc.predict()) == 3


def test_training_that_could_not_go_on_leaves_the_forecaster_as_it_was(table: pd.DataFrame) -> None:
    fc = Forecaster(3, season_length=1, **OPTIONS).fit(table)
    before = fc.predict()
    fc.set_params(accelerator="gpu")
    with pytest.raises(InputError):
        fc.fit(table[table["unique_id"] == "fast"], warm_start=True)
    pd.testing.assert_frame_equal(fc.predict(), before)
