"""Every layer does the forecaster's job: it fits, predicts finite bands, and does so to the same bits again."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster
from statespace.layers import LAYERS


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_fits_and_predicts(
    layer: str, small: Callable[..., Forecaster], table: Callable[..., pd.DataFrame]
) -> None:
    history = table(40)
    history.loc[7, "y"] = np.nan

    def found() -> pd.DataFrame:
        return small(3, input_size=12, layer=layer, max_steps=2).fit(history).predict(level=[90])

    first = found()
    assert list(first)[2:] == [layer.upper(), f"{layer.upper()}-lo-90", f"{layer.upper()}-hi-90"]
    assert np.isfinite(first.iloc[:, 2:].to_numpy()).all()
    pd.testing.assert_frame_equal(first, found(), check_exact=True)
