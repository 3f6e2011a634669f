"""Rows at times of their own: the time between them drives the system, in whatever unit the stamps are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from statespace import Forecaster
from statespace.errors import InputError
from statespace.layers import LAYERS
from statespace.models import ForecastNetwork, History

Small = Callable[..., Forecaster]
H = 4
START = pd.Timestamp("2024-01-01")


def minutes(steps: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 200, steps).cumsum()


def at(stamps: Any, name: Any = "a") -> pd.DataFrame:
    return pd.DataFrame({"unique_id": name, "ds": stamps, "y": 5 + np.sin(minutes(len(stamps)) / 300)})


@pytest.mark.parametrize("even", [True, False])
def test_the_unit_of_time_does_not_matter(even: bool, small: Small) -> None:
    time = 60 * np.arange(60) if even else minutes()
    stamps = {
        "minutes": START + pd.to_timedelta(time, unit="min"),
        "seconds": START + pd.to_timedelta(time, unit="s"),
        "days in a zone": pd.Timestamp("1990-05-05", tz="UTC") + pd.to_timedelta(time, unit="D"),
        "numbers": time,
        "large numbers": 1000 * time - 77,
    }
    found = {unit: small(H).fit(at(ds), "irregular").predict(level=[80]) for unit, ds in stamps.items()}
    want = found["minutes"].iloc[:, 2:]
    for unit, other in found.items():
        pd.testing.assert_frame_equal(other.iloc[:, 2:], want, check_exact=True, obj=unit)
    typical = np.median(np.diff(time))
    assert found["numbers"]["ds"].tolist() == [time[-1] + round(typical * k) for k in range(1, H + 1)]


def test_the_time_between_rows_matters(small: Small) -> None:
    one, other = (small(H, max_steps=20).fit(at(minutes(seed=seed)), "irregular").predict() for seed in (0, 1))
    assert np.abs(one["S4D"] - other["S4D"]).max() > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("layer", ["s4d", "s5", "s6"])
def test_a_forecast_is_a_loop_of_steps_over_the_time_between_rows(layer: str) -> None:
    torch.manual_seed(0)
    model = ForecastNetwork(H, 12, layer, 8, 2, 4, linear=False).double().eval()
    torch.nn.init.normal_(model.head.weight)
    x = torch.randn(3, 12, dtype=torch.float64)
    observed = (torch.rand(3, 12) < 0.8).double()
    dt = torch.rand(3, 12 + H, dtype=torch.float64) * 5 + 0.1
    found = model.raw(History(x, observed, dt=dt))
    state, raw = model.backbone.initial_state(3), []
    z = ((x - found.location) / found.scale) * observed
    for k in range(12 + H):
        zero = torch.zeros(3, dtype=torch.float64)
        row = torch.stack([z[:, k], observed[:, k]], -1) if k < 12 else torch.stack([zero, zero], -1)
        known = observed[:, k] > 0 if k < 12 else torch.ones(3, dtype=torch.bool)
        out, state = model.backbone.step(model.embed(row), state, dt=dt[:, k], observed=known)
        raw.append(model.head(out))
    torch.testing.assert_close(found.raw, torch.stack(raw[12:], 1), rtol=1e-10, atol=1e-10)


def test_stamps_that_are_asked_for(small: Small) -> None:
    frame = at(START + pd.to_timedelta(minutes(), unit="min"))
    fc = small(H).fit(frame, "irregular")
    usual = fc.predict(level=[80])
    asked = usual[["unique_id", "ds"]]
    pd.testing.assert_frame_equal(fc.predict(futr_df=asked, level=[80]), usual, check_exact=True)
    mixed = pd.concat([asked.tail(2), frame[["unique_id", "ds"]], asked.head(2)])
    pd.testing.assert_frame_equal(fc.predict(futr_df=mixed, level=[80]), usual, check_exact=True)
    late = asked.assign(ds=asked["ds"] + pd.Timedelta("1h"))
    found = fc.predict(futr_df=late, level=[80])
    assert found["ds"].tolist() == late["ds"].tolist()
    with pytest.raises(InputError, match=r"futr_df has 3 rows for series 'a' after .*, but 4 are to be forecast"):
        fc.predict(futr_df=asked.head(3))
    with pytest.raises(InputError, match=r"stamps of futr_df are whole numbers"):
        fc.predict(futr_df=asked.assign(ds=range(4)))
    with pytest.raises(InputError, match=r"stamps of futr_df are dates in UTC"):
        fc.predict(futr_df=asked.assign(ds=asked["ds"].dt.tz_localize("UTC")))


def test_what_the_stamps_say_of_the_rate_need_not_be_said_again(small: Small) -> None:
    frame = at(START + pd.to_timedelta(minutes(), unit="min"))
    fc = small(H, input_size=100).fit(frame, "irregular")
    usual = fc.predict(df=frame)
    asked = pd.concat([usual, usual.assign(ds=usual["ds"] + pd.Timedelta("1D"))])
    found = fc.predict(df=frame, dt_scale=0.5, futr_df=asked[["unique_id", "ds"]])
    np.testing.assert_allclose(found["S4D"][:H], usual["S4D"], rtol=1e-4)  # the first row's own time is not known


def test_no_grid_is_found_out_and_told(small: Small) -> None:
    stamps = START + pd.to_timedelta(minutes(), unit="min")
    with pytest.warns(
        UserWarning, match=r"lie on no grid, so each row is taken at its own time; freq='irregular' says so"
    ):
        fc = small(H).fit(at(stamps))
    assert fc.freq == "irregular"
    pd.testing.assert_frame_equal(fc.predict(), small(H).fit(at(stamps), "irregular").predict(), check_exact=True)
    with pytest.raises(InputError, match="freq cannot be inferred"):
        small(H, layer="lstm").fit(at(stamps))
    # Days with a row now and then are a calendar with gaps, and no matter of chance.
    days = START + pd.to_timedelta(np.random.default_rng(0).integers(1, 8, 60).cumsum(), unit="D")
    assert small(H).fit(at(days)).freq == "D"


@pytest.mark.parametrize("layer", [name for name, made in LAYERS.items() if not made.capabilities.irregular])
def test_a_layer_without_time_is_refused(layer: str, small: Small) -> None:
    with pytest.raises(
        InputError, match=f"freq is 'irregular', but layer '{layer}' knows no time .* choose one such as"
    ):
        small(H, layer=layer).fit(at(minutes()), "irregular")


def test_a_calendar_needs_dates(small: Small) -> None:
    with pytest.raises(InputError, match="a number has no place in a calendar"):
        small(H, calendar=["hour"]).fit(at(minutes()), "irregular")


def test_training_goes_on_in_the_unit_of_time_it_began_with(small: Small, tmp_path: Any) -> None:
    fc = small(H).fit(at(minutes()), "irregular")
    step = fc._ready("test").reader.step
    fc.fit(at(7 * minutes()), warm_start=True)
    want = fc.predict(level=[80])
    assert (np.diff(want["ds"]) == round(step)).all()
    fc.save(tmp_path / "model")
    pd.testing.assert_frame_equal(Forecaster.load(tmp_path / "model").predict(level=[80]), want, check_exact=True)
