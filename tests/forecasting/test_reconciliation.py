"""Forecasts that add up: what a forecaster gives goes into hierarchicalforecast as it is."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from utilsforecast.losses import mae

from statespace import Forecaster

core = pytest.importorskip("hierarchicalforecast.core", reason="hierarchicalforecast is not installed")
methods = pytest.importorskip("hierarchicalforecast.methods")
utils = pytest.importorskip("hierarchicalforecast.utils")
evaluation = pytest.importorskip("hierarchicalforecast.evaluation")

H = 4
LEVELS = [["country"], ["country", "region"], ["country", "region", "shop"]]


def shops() -> pd.DataFrame:
    rng, t = np.random.default_rng(0), np.arange(60)
    stamps = pd.date_range("2019-01-01", periods=60, freq="MS")
    return pd.concat(
        pd.DataFrame(
            {"country": "all", "region": region, "shop": shop, "ds": stamps}
            | {"y": 20 + 5 * place + 5 * np.sin(2 * np.pi * t / 12) + rng.normal(size=60)}
        )
        for place, (region, shop) in enumerate([("north", "n1"), ("north", "n2"), ("south", "s1")])
    )


def test_forecasts_are_reconciled_and_evaluated(small: Callable[..., Forecaster]) -> None:
    table, sums, tags = utils.aggregate(shops(), LEVELS)
    rank = table.groupby("unique_id").cumcount(ascending=False)
    train, test = table[rank >= H], table[rank < H]
    fc = small(H, input_size=24).fit(train, freq="MS")
    base = fc.predict()
    within = fc.predict_insample(step_size=1)
    one_ahead = within[within.groupby(["unique_id", "cutoff"]).cumcount() == 0].drop(columns="cutoff")
    reconciliation = core.HierarchicalReconciliation([methods.BottomUp(), methods.MinTrace("mint_shrink")])
    found = reconciliation.reconcile(Y_hat_df=base, Y_df=one_ahead, S_df=sums, tags=tags)
    names = [name for name in found if name.startswith("S4D/")]
    assert len(names) == 2
    bottom = list(tags["country/region/shop"])
    wide = found.pivot(index="ds", columns="unique_id")
    for name in names:
        np.testing.assert_allclose(wide[name]["all"], wide[name][bottom].sum(axis=1), rtol=1e-9)
    summed = base.pivot(index="ds", columns="unique_id", values="S4D")[bottom].sum(axis=1)
    np.testing.assert_allclose(wide["S4D/BottomUp"]["all"], summed, rtol=1e-9)
    judged = evaluation.evaluate(found.merge(test, on=["unique_id", "ds"]), metrics=[mae], tags=tags)
    assert np.isfinite(judged[["S4D", *names]].to_numpy(float)).all()
