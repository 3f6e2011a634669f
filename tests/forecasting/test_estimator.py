"""The forecaster as its users meet it: shapes and names of what it returns, its invariants, its files, its refusals."""

import json
import os
import pickle
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch
import numpy as np
import pandas as pd
import pytest
import torch

from statespace import Forecaster, model_folder
from statespace.errors import InputError

Small = Callable[..., Forecaster]
Table = Callable[..., pd.DataFrame]


def test_the_columns_and_rows_are_those_that_were_promised(fitted: Forecaster, panel_frame: pd.DataFrame) -> None:
    found = fitted.predict(level=[80, 95])
    assert list(found) == ["unique_id", "ds", "S4D", "S4D-lo-80", "S4D-hi-80", "S4D-lo-95", "S4D-hi-95"]
    assert found["unique_id"].tolist() == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    for name, part in panel_frame.groupby("unique_id"):
        want = pd.date_range(part["ds"].max(), periods=5, freq="MS")[1:]
        assert found.loc[found["unique_id"] == name, "ds"].tolist() == want.tolist()
    assert found["ds"].dtype == panel_frame["ds"].dtype
    assert np.isfinite(found.iloc[:, 2:].to_numpy()).all()
    ends = found[["S4D-lo-95", "S4D-lo-80", "S4D", "S4D-hi-80", "S4D-hi-95"]].to_numpy()
    assert (np.diff(ends) >= 0).all()
    assert list(fitted.predict()) == ["unique_id", "ds", "S4D"]


def test_column_names_are_settable_and_fit_returns_itself(small: Small, table: Table) -> None:
    names = {"unique_id": "shop", "ds": "day", "y": "sales"}
    fc = small(id_col="shop", time_col="day", target_col="sales")
    assert fc.fit(table().rename(columns=names)) is fc
    found = fc.predict(level=[80])
    assert list(found) == ["shop", "day", "S4D", "S4D-lo-80", "S4D-hi-80"]
    want = small().fit(table()).predict(level=[80])
    pd.testing.assert_frame_equal(found, want.rename(columns=names))


@pytest.mark.parametrize("h", [1, 3, 4, 11])
def test_a_shorter_horizon_is_a_prefix_and_a_longer_one_goes_on(fitted: Forecaster, h: int) -> None:
    whole, found = fitted.predict(level=[90]), fitted.predict(h=h, level=[90])
    assert len(found) == 3 * h
    for name in "abc":
        ours, theirs = (t[t["unique_id"] == name].head(min(h, 4)).reset_index(drop=True) for t in (found, whole))
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-6)  # float32 over another batch shape
        width = found[found["unique_id"] == name].eval("`S4D-hi-90` - `S4D-lo-90`").to_numpy()
        for block in range(4, h, 4):
            assert (width[block : block + 4] >= width[block - 1] * (1 - 1e-5)).all()


def test_predict_needs_no_trainer_and_a_few_milliseconds(
    small: Small, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    fc = Forecaster(12, 36, max_steps=2, verbose=False).fit(table(144))  # the network of the README
    monkeypatch.setattr(lightning.pytorch, "Trainer", None)
    monkeypatch.setattr("statespace.training.fitting.Trainer", None)
    seconds = []
    for _ in range(50):
        before = time.process_time()
        fc.predict(level=[80, 95])
        seconds.append(time.process_time() - before)
    assert min(seconds) < 0.010


def test_other_series_are_forecast_from_their_own_history(fitted: Forecaster, table: Table, panel_frame: Any) -> None:
    again = fitted.predict(df=panel_frame, level=[80])
    pd.testing.assert_frame_equal(again, fitted.predict(level=[80]), rtol=1e-5)
    new = pd.concat([table(60, name="z"), table(7, name="y")])
    found = fitted.predict(df=new, level=[80])
    assert found["unique_id"].tolist() == ["y"] * 4 + ["z"] * 4
    assert found["ds"].iloc[-1] == pd.Timestamp("2005-04-01")
    with pytest.raises(InputError, match=r"Forecaster.predict: there is no column 'y'"):
        fitted.predict(df=new.rename(columns={"y": "Y"}))
    with pytest.raises(InputError, match=r"Forecaster.predict: .* does not lie on a grid of freq 'MS'"):
        fitted.predict(df=table(freq="W"))


def test_a_forecast_does_not_depend_on_what_other_series_stand_beside(fitted: Forecaster, panel_frame: Any) -> None:
    whole = fitted.predict(df=panel_frame)
    for name in "abc":
        alone = fitted.predict(df=panel_frame[panel_frame["unique_id"] == name])
        pd.testing.assert_frame_equal(
            alone, whole[whole["unique_id"] == name].reset_index(drop=True), rtol=1e-5
        )  # float32 in batches of another size


def test_leading_gaps_are_the_same_as_no_rows(fitted: Forecaster, table: Table) -> None:
    short = table(10, start="2002-01-01")
    padded = pd.concat([table(14, start="2000-11-01", y=np.nan), short])
    pd.testing.assert_frame_equal(fitted.predict(df=short), fitted.predict(df=padded), rtol=1e-6)


def test_missing_rows_are_the_same_as_missing_values(small: Small, table: Table) -> None:
    holes = table().assign(y=table().y.where(~table().index.isin([3, 20, 21, 40])))
    first, second = small().fit(holes), small().fit(holes.dropna(), "MS")
    pd.testing.assert_frame_equal(first.predict(level=[80]), second.predict(level=[80]))


def test_the_same_seed_gives_the_same_model_and_another_another(small: Small, table: Table) -> None:
    torch.manual_seed(123)
    first = small(random_seed=1).fit(table()).predict(level=[80])
    torch.manual_seed(321)
    pd.testing.assert_frame_equal(first, small(random_seed=1).fit(table()).predict(level=[80]))
    # On few data the point forecast is the linear path's alone, which no seed moves; the band is always the network's.
    another = small(random_seed=2).fit(table()).predict(level=[80])
    assert not first["S4D-lo-80"].equals(another["S4D-lo-80"])


def test_fit_and_predict_leave_the_global_random_state_alone(small: Small, table: Table) -> None:
    torch.manual_seed(7)
    want = torch.rand(3)
    torch.manual_seed(7)
    small().fit(table()).predict()
    assert torch.equal(torch.rand(3), want)


def test_silent_means_silent(
    small: Small, table: Table, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small().fit(table()).predict(level=[80])
    assert capfd.readouterr() == ("", "")
    assert not [str(warning.message) for warning in caught]
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("scale", [0.0, 0.1, -3.5, 1e300, 1e-300])
def test_a_constant_series_is_forecast_as_constant(small: Small, table: Table, scale: float) -> None:
    found = small().fit(table(y=scale)).predict(level=[80, 95], h=9)
    assert (found.iloc[:, 2:] == scale).all(axis=None)


@pytest.mark.parametrize("unit", [1e300, 1e-300, 1e307])
def test_the_unit_of_the_values_does_not_matter(small: Small, table: Table, unit: float) -> None:
    want = small().fit(table()).predict(level=[80]).iloc[:, 2:]
    found = small().fit(table(y=unit * table().y / 2)).predict(level=[80]).iloc[:, 2:]
    assert np.isfinite(found.to_numpy()).all()
    np.testing.assert_allclose(found / unit * 2, want, rtol=1e-3)  # float32 on histories that differ in the last place


def test_a_series_never_observed_is_forecast_as_nan_with_a_note(small: Small, table: Table) -> None:
    frame = pd.concat([table(), table(name="silent", y=np.nan)])
    with pytest.warns(
        UserWarning, match="nothing was observed in the last 36 steps of series silent: the forecast is NaN"
    ):
        found = small().fit(frame).predict(level=[80]).set_index("unique_id")
    assert found.loc["silent"].iloc[:, 1:].isna().all(axis=None)
    assert found.loc["a"].notna().all(axis=None)
    with pytest.warns(UserWarning, match="the forecast is NaN"):
        alone = small().fit(table(y=np.nan)).predict(level=[80])
    assert len(alone) == 4
    assert alone.iloc[:, 2:].isna().all(axis=None)


def test_a_model_from_a_folder_notes_a_forecast_that_is_nan(small: Small, table: Table, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"Forecaster\.fit: .* the forecast is NaN"):
        fc = small().fit(pd.concat([table(), table(name="silent", y=np.nan)]))
    fc.save(tmp_path / "model")
    back = Forecaster.load(tmp_path / "model")
    for call in (back.predict, back.simulate):
        with pytest.warns(UserWarning, match=rf"Forecaster\.{call.__name__}: .* series silent: the forecast is NaN"):
            assert call()["S4D"].isna().any()


def test_a_series_that_fell_silent_is_noted_too(fitted: Forecaster, small: Small, table: Table) -> None:
    frame = table(60, y=[1.0, 2.0] * 5 + [np.nan] * 50)
    with pytest.warns(UserWarning, match="Forecaster.predict: nothing was observed in the last 32 steps of series a"):
        assert fitted.predict(df=frame)["S4D"].isna().all()
    with pytest.warns(UserWarning, match="Forecaster.fit: nothing was observed in the last 36 steps of series a"):
        found = small(input_size=36).fit(pd.concat([frame, table(name="b")])).predict()
    assert found["S4D"].isna().tolist() == [True] * 4 + [False] * 4


def test_thousands_of_series_of_unequal_length_fit_in_one_model(small: Small) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 60, 3000)
    frame = pd.DataFrame(
        {"unique_id": np.repeat(np.arange(3000), lengths), "ds": np.concatenate([np.arange(n) for n in lengths])}
    )
    frame["y"] = rng.normal(size=len(frame)) + frame["unique_id"]
    before = time.process_time()
    found = small(max_steps=3).fit(frame).predict(level=[80])
    assert (
        time.process_time() - before < 30
    )  # some five seconds on a quiet machine, nearly all of them for the linear path
    assert len(found) == 12_000
    assert np.isfinite(found.iloc[:, 2:].to_numpy()).all()


@pytest.mark.parametrize("steps", [5, 6, 9])
def test_the_shortest_series_that_can_be_fitted(small: Small, table: Table, steps: int) -> None:
    assert np.isfinite(small(4).fit(table(steps)).predict(level=[80]).iloc[:, 2:].to_numpy()).all()


def test_a_series_that_is_too_short_says_what_would_do(small: Small, table: Table) -> None:
    for steps in (2, 4):
        with pytest.raises(ValueError, match=f"longest series has {steps} steps, but h=4 needs at least 5"):
            small(4).fit(table(steps))
    with pytest.raises(InputError, match="has 1 steps, but h=4 needs at least 5"):
        small(4).fit(table(1), "MS")


BAD_OPTIONS = [
    *(({"h": h}, "h is .*, but a whole number from 1 on is expected") for h in (0, -3, 1.0, "3", None, True)),
    ({"layer": "s9"}, "layer is 's9', which is not known: choose one of .*s4d"),
    ({"transform": "ln"}, "choose one of auto, log, boxcox, none"),
    ({"intervals": "x"}, "choose one of quantile, conformal"),
    ({"mixing": "x"}, "choose one of auto, glu, gated, none"),
    *(({name: 0}, f"{name} is 0") for name in ("input_size", "max_steps", "batch_size", "d_model", "season_length")),
    ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ({"dropout": 1.0}, "dropout is 1.0"),
    ({"weight_decay": -1.0}, "weight_decay is -1.0"),
    ({"random_seed": -1}, "random_seed is -1"),
    ({"random_seed": 2**63}, "random_seed is 9223372036854775808, but a whole number up to 9223372036854775807"),
    ({"h": 2**70}, "but a whole number up to 2147483647 is expected"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_a_wrong_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"Forecaster: .*{message}"):
        Forecaster(**{"h": 3, **options})


@pytest.mark.parametrize("h", [0, -1, 1.5, "3", True])
def test_a_wrong_horizon_is_refused_by_predict(fitted: Forecaster, h: Any) -> None:
    with pytest.raises(ValueError, match=r"Forecaster.predict: h is .*, but a whole number from 1 on is expected"):
        fitted.predict(h=h)


def test_an_unknown_freq_and_an_unknown_level_are_refused(small: Small, table: Table, fitted: Forecaster) -> None:
    with pytest.raises(ValueError, match=r"freq is 'M', which is not known: .* Did you mean 'ME'"):
        small().fit(table(), "M")
    with pytest.raises(ValueError, match="level 100 is not known"):
        fitted.predict(level=[80, 100])


def test_nothing_is_predicted_or_saved_before_fit(tmp_path: Path) -> None:
    for call in (lambda fc: fc.predict(), lambda fc: fc.save(tmp_path / "m"), lambda fc: fc.freq):
        with pytest.raises(ValueError, match=r"is not fitted: call fit\(df\) first"):
            call(Forecaster(3))
    assert not (tmp_path / "m").exists()


KINDS: dict[str, Callable[[Table], pd.DataFrame]] = {
    "dates": lambda table: table(),
    "seconds": lambda table: table().astype({"ds": "datetime64[s]"}),
    "a time zone": lambda table: table(freq="h", start=pd.Timestamp("2024-03-30", tz="Europe/Berlin")),
    "days in a time zone": lambda table: table(freq="D", start=pd.Timestamp("2024-02-12", tz="Europe/Berlin")),
    "whole numbers": lambda table: table().assign(ds=np.arange(48) * 5 - 100),
    "names that are numbers": lambda table: pd.concat([table(name=11), table(30, name=2)]),
    "names of two kinds": lambda table: pd.concat([table(name="11"), table(30, name=2)]),
    "gaps": lambda table: table().drop(index=[46, 20]),
    "silent": lambda table: pd.concat([table(), table(name="b", y=np.nan)]),
}


@pytest.mark.filterwarnings("ignore:.*the forecast is NaN")
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_was_saved_forecasts_the_same(kind: str, small: Small, table: Table, tmp_path: Path) -> None:
    fc = small(h=np.int64(3), intervals="conformal").fit(KINDS[kind](table))
    fc.save(tmp_path / "model")
    back = Forecaster.load(tmp_path / "model")
    for options in ({"level": [80, 95]}, {"h": 7, "level": [50]}):
        pd.testing.assert_frame_equal(back.predict(**options), fc.predict(**options))
    assert back.freq == fc.freq
    assert back.outcome == fc.outcome
    back.save(tmp_path / "again")
    for name in ("model.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


class Bomb:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def _bomb(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(pickle.dumps(Bomb(folder.parent / "exploded")))


def _edit(folder: Path, **changes: Any) -> None:
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(description | changes))


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "weights.safetensors' cannot be read"),
    "no description": (lambda f: (f / "model.json").unlink(), "model.json' cannot be read"),
    "cut weights": (lambda f: os.truncate(f / "weights.safetensors", 1000), "was cut off or changed"),
    "empty weights": (lambda f: os.truncate(f / "weights.safetensors", 0), "was cut off or changed"),
    "cut description": (lambda f: os.truncate(f / "model.json", 300), "was cut off or changed"),
    "empty description": (lambda f: os.truncate(f / "model.json", 0), "was cut off or changed"),
    "another bit": (lambda f: _flip(f / "weights.safetensors"), "was cut off or changed"),
    "another freq": (lambda f: _edit(f, freq="D"), "was cut off or changed"),
    "no checksum": (lambda f: _edit(f, checksum=None), "was cut off or changed"),
    "a list": (lambda f: (f / "model.json").write_text("[1]"), "was cut off or changed"),
    "no text": (lambda f: (f / "model.json").write_bytes(b"\xff\xfe\x00"), "was cut off or changed"),
    "a pickle": (_bomb, "was cut off or changed"),
    "another format": (
        lambda f: _edit(f, format=99, statespace="9.9"),
        r"was saved by statespace 9\.9 in format 99, but this is statespace .*, which reads format 1",
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_model_is_refused(case: str, fitted: Forecaster, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    spoil, message = SPOILED[case]
    spoil(tmp_path / "model")
    with pytest.raises(ValueError, match=f"Forecaster.load: .*{message}"):
        Forecaster.load(tmp_path / "model")
    assert not (tmp_path / "exploded").exists()


def test_the_bomb_would_have_gone_off(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "exploded"))).close()
    assert (tmp_path / "exploded").exists()


def test_a_forged_model_whose_checksum_fits_is_refused(fitted: Forecaster, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    description, tensors = model_folder.read("test", tmp_path / "model", "Forecaster")
    forged = {
        name: value for name, value in description.items() if name not in ("kind", "format", "statespace", "checksum")
    }
    for change in (
        {"params": {"h": "x"}},
        {"params": {"evil": 1}},
        {"input_size": 5},
        {"last": [["soon", "us", None]]},
    ):
        model_folder.write("test", tmp_path / "forged", "Forecaster", forged | change, tensors)
        with pytest.raises(ValueError, match=r"Forecaster.load: the model in .* does not hold what a Forecaster needs"):
            Forecaster.load(tmp_path / "forged")
    model_folder.write("test", tmp_path / "forged", "Classifier", forged, tensors)
    with pytest.raises(ValueError, match="holds a Classifier, but a Forecaster is expected"):
        Forecaster.load(tmp_path / "forged")


def test_a_model_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist, but a folder that save"):
        Forecaster.load(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file, but a folder that save"):
        Forecaster.load(tmp_path / "file")


def test_a_model_replaces_the_one_before_and_nothing_else(
    fitted: Forecaster, small: Small, table: Table, tmp_path: Path
) -> None:
    small().fit(table()).save(tmp_path / "model")
    (tmp_path / "model" / "notes.txt").write_text("mine")
    fitted.save(tmp_path / "model")
    assert sorted(os.listdir(tmp_path / "model")) == ["model.json", "notes.txt", "weights.safetensors"]
    pd.testing.assert_frame_equal(Forecaster.load(tmp_path / "model").predict(), fitted.predict())


def test_a_model_is_saved_whole_or_not_at_all(
    fitted: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(ValueError, match=r"cannot be written \(No space left on device\)"):
            fitted.save(tmp_path / "model")
    assert not os.listdir(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file, but a folder is to be written"):
        fitted.save(tmp_path / "file")
    with pytest.raises(ValueError, match="cannot be written"):
        fitted.save(tmp_path / "file" / "model")


@pytest.mark.parametrize(
    "wrong", [{"learning_rate": "x"}, {"dropout": None}, {"weight_decay": True}, {"augmentation": -1}]
)
def test_a_number_is_asked_for_by_name(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Forecaster(h=3, **wrong)


def test_an_accelerator_that_is_not_there_is_named() -> None:
    table = pd.DataFrame({"unique_id": "a", "ds": range(40), "y": np.arange(40.0)})
    with pytest.raises(InputError, match="accelerator is 'no-such-thing'"):
        Forecaster(h=3, max_steps=1, accelerator="no-such-thing", verbose=False).fit(table)
