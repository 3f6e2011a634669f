"""Every option survives being stored, cloned and set; distributions hold what they promise on what they are for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import nbinom
from sklearn.base import clone

from statespace import Forecaster
from statespace.errors import InputError

Small = Callable[..., Forecaster]
Table = Callable[..., pd.DataFrame]
H = 4
STATIC = pd.DataFrame(
    {"unique_id": list("ab"), "zeal": [1.0, 2.0], "area": [9, 5], "kind": ["x", "y"], "big": [True, False]}
)

OPTIONS: dict[str, dict[str, Any]] = {
    **{
        f"distribution {name}": {"distribution": name}
        for name in ("normal", "student-t", "negative-binomial", "tweedie")
    },
    **{f"scaler {name}": {"scaler_type": name} for name in ("robust", "minmax", "none", "reversible")},
    **{f"local scaler {name}": {"local_scaler_type": name} for name in ("robust", "minmax", "none")},
    "mean": {"point": "mean"},
    "mean of logarithms": {"point": "mean", "transform": "log"},
    "boxcox": {"transform": "boxcox"},
    "conformal counts": {"distribution": "negative-binomial", "intervals": "conformal"},
    "alias": {"alias": "mine"},
    "weights": {"weight_col": "w"},
    "calendar": {"calendar": ["month", "quarter"]},
    "future": {"futr_exog_list": ["p"]},
    "history": {"hist_exog_list": ["q", "p"]},
    # In an order that is not that of the alphabet, numbers and categories mixed.
    "static": {"stat_exog_list": ["zeal", "kind", "area", "big"]},
    "all": {
        "futr_exog_list": ["q"],
        "hist_exog_list": ["p"],
        "stat_exog_list": ["zeal", "area"],
        "calendar": ["month"],
    },
}


def two(table: Table) -> pd.DataFrame:
    frame = pd.concat([table(), table(name="b", y=7 + table().y)], ignore_index=True)
    rng = np.random.default_rng(0)
    return frame.assign(y=frame["y"].round(), p=rng.normal(size=96), q=rng.normal(size=96), w=rng.random(96))


@pytest.mark.parametrize("option", OPTIONS)
def test_a_model_that_was_stored_forecasts_the_same(option: str, small: Small, table: Table, tmp_path: Path) -> None:
    given = OPTIONS[option]
    frame = two(table)
    known = frame.groupby("unique_id").head(44)
    static = STATIC if "stat_exog_list" in given else None
    futr = frame[["unique_id", "ds", "q", "p"]] if "futr_exog_list" in given else None
    fc = small(H, max_steps=3, **given).fit(known, static_df=static)
    # After three steps hardly anything comes through the head, and what is read in the wrong order would not be seen.
    torch.nn.init.normal_(fc._ready("test").network.head.weight)
    fc.save(tmp_path / "model")
    back = Forecaster.load(tmp_path / "model")
    assert back.get_params() == fc.get_params()
    want = fc.predict(futr_df=futr, level=[80], quantiles=[0.3])
    assert np.isfinite(want.iloc[:, 2:].to_numpy()).all()
    assert list(want)[2:] == [fc.name, f"{fc.name}-lo-80", f"{fc.name}-hi-80", f"{fc.name}_ql0.3"]
    pd.testing.assert_frame_equal(back.predict(futr_df=futr, level=[80], quantiles=[0.3]), want, check_exact=True)
    read, again = (m.predict(df=known, futr_df=futr, static_df=static) for m in (fc, back))
    pd.testing.assert_frame_equal(again, read, check_exact=True)
    paths = (m.simulate(5, futr_df=futr) for m in (fc, back))
    pd.testing.assert_frame_equal(*paths, check_exact=True)


@pytest.mark.parametrize("option", OPTIONS)
def test_scikit_learn_clones_it(option: str) -> None:
    fc = Forecaster(H, **OPTIONS[option])
    copied = clone(fc)
    assert copied.get_params() == fc.get_params()
    assert copied is not fc
    assert clone(Forecaster(7)).set_params(**OPTIONS[option]).get_params() == fc.set_params(h=7).get_params()
    assert repr(copied) == repr(clone(copied))


def test_parameters_set_later_are_for_the_next_fit(small: Small, table: Table, tmp_path: Path) -> None:
    fc = small(H).fit(table())
    want = fc.predict(h=H)["S4D"]
    fc.set_params(d_model=4, distribution="normal", hist_exog_list=["q"])
    pd.testing.assert_series_equal(fc.predict(h=H)["S4D"], want)
    with pytest.raises(InputError, match="warm_start goes on with a network of d_model=8, but d_model is 4 now"):
        fc.fit(table(), warm_start=True)
    fc.save(tmp_path / "model")
    pd.testing.assert_series_equal(Forecaster.load(tmp_path / "model").predict(h=H)["S4D"], want)


def test_a_warm_start_goes_on(small: Small, table: Table) -> None:
    with pytest.raises(InputError, match=r"Forecaster.fit: this Forecaster is not fitted"):
        small(H).fit(table(), warm_start=True)
    fc = small(H, max_steps=30).fit(table(60))
    for name, value in (("warm_start", "yes"), ("freq", "D")):
        with pytest.raises(InputError, match=f"warm_start.*{value}"):
            fc.fit(table(60), **{"warm_start": True, name: value})
    fc.set_params(learning_rate=1e-9, max_steps=1)
    before = fc.predict()["S4D"]
    fc.fit(table(60), warm_start=True)
    np.testing.assert_allclose(fc.predict()["S4D"], before, rtol=1e-4)  # a step of next to no length
    new = fc.fit(table(30, name="z"), warm_start=True).predict()
    assert new["unique_id"].unique().tolist() == ["z"]


def test_paths_have_the_quantiles_of_the_forecast(small: Small, table: Table) -> None:
    fc = small(H).fit(table())
    shares = [0.1, 0.25, 0.5, 0.75, 0.9]
    n = 20_000
    paths = fc.simulate(n, seed=1)
    assert list(paths) == ["unique_id", "ds", "sample", "S4D"]
    wanted = fc.predict(quantiles=shares)
    for stamp, step in paths.groupby("ds"):
        row = wanted[wanted["ds"] == stamp].iloc[0]
        for share in shares:
            below = (step["S4D"] <= row[f"S4D_ql{share}"]).mean()
            assert abs(below - share) < 4 * (share * (1 - share) / n) ** 0.5  # four standard errors
    pd.testing.assert_frame_equal(fc.simulate(3, seed=1), fc.simulate(3, seed=1), check_exact=True)
    assert not fc.simulate(3, seed=1).equals(fc.simulate(3, seed=2))


@pytest.mark.parametrize("option", ["id_col", "time_col", "alias"])
def test_paths_want_the_name_of_their_numbers_for_themselves(option: str, small: Small, table: Table) -> None:
    names = {"id_col": "unique_id", "time_col": "ds"}
    fc = small(H, **{option: "sample"}).fit(table().rename(columns={names.get(option, ""): "sample"}))
    with pytest.raises(InputError, match=f"Forecaster.simulate: {option} is 'sample', but the result has a column"):
        fc.simulate(3)
    assert len(fc.predict()) == H


@pytest.mark.parametrize("distribution", ["negative-binomial", "tweedie"])
def test_bands_hold_what_they_promise_on_intermittent_series(distribution: str, small: Small) -> None:
    rng = np.random.default_rng(0)
    rates = rng.uniform(1.0, 4.0, 60)
    frames, futures = [], []
    for place, rate in enumerate(rates):
        drawn = rng.negative_binomial(2, 2 / (2 + rate), 120 + H).astype(float)
        y = drawn if distribution == "negative-binomial" else drawn * 1.37
        stamps = pd.date_range("2024-01-01", periods=120 + H, freq="D")
        frame = pd.DataFrame({"unique_id": place, "ds": stamps, "y": y})
        frames.append(frame[:120])
        futures.append(frame[120:])
    fc = small(H, distribution=distribution, input_size=60, max_steps=200, learning_rate=5e-3)
    found = fc.fit(pd.concat(frames)).predict(level=[80]).merge(pd.concat(futures))
    assert (found["S4D-lo-80"] >= 0).all()
    inside = ((found["y"] >= found["S4D-lo-80"]) & (found["y"] <= found["S4D-hi-80"])).mean()
    # What the quantiles of the distribution drawn from hold: more than 80 %, since counts come in steps.
    law = nbinom(2, 2 / (2 + rates))
    low, high = law.ppf(0.1), law.ppf(0.9)
    want = (law.cdf(high) - law.cdf(low - 1)).mean()
    assert 0.8 - 3 * (0.2 * 0.8 / len(found)) ** 0.5 < inside < want + 0.05  # three standard errors of a share


def test_parameters_are_set_together_or_not_at_all() -> None:
    fc = Forecaster(7)
    for wrong, message in (({"max_steps": 3, "dropout": 2.0}, "dropout is 2.0"), ({"d_model": 4, "hh": 1}, "'hh'")):
        with pytest.raises(InputError, match=message):
            fc.set_params(**wrong)
        assert fc.get_params() == Forecaster(7).get_params()
