"""Small tables and small fitted models, on one thread."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from statespace import Forecaster

SMALL: dict[str, Any] = {"max_steps": 6, "d_model": 8, "n_layers": 1, "d_state": 8, "verbose": False}


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def wave(steps: int, level: float = 10.0) -> np.ndarray:
    time = np.arange(steps)
    return level + 0.1 * time + np.sin(2 * np.pi * time / 12)


def long_frame(
    steps: int = 48, freq: str = "MS", name: Any = "a", start: Any = "2000-01-01", y: Any = None
) -> pd.DataFrame:
    stamps = pd.date_range(start, periods=steps, freq=freq)
    return pd.DataFrame({"unique_id": name, "ds": stamps, "y": wave(steps) if y is None else y})


@pytest.fixture(scope="session")
def table() -> Callable[..., pd.DataFrame]:
    """One series on a regular grid."""
    return long_frame


@pytest.fixture(scope="session")
def small() -> Callable[..., Forecaster]:
    """An unfitted forecaster that trains in a blink."""
    return lambda h=4, **options: Forecaster(h, **{**SMALL, **options})


@pytest.fixture(scope="session")
def panel_frame() -> pd.DataFrame:
    """Three series of unequal length, which end at different stamps."""
    return pd.concat(
        [long_frame(48), long_frame(36, name="b", start="2001-01-01"), long_frame(20, name="c", start="1999-05-01")],
        ignore_index=True,
    )


@pytest.fixture(scope="session")
def fitted(panel_frame: pd.DataFrame) -> Forecaster:
    """A forecaster fitted on `panel_frame`; not to be changed."""
    return Forecaster(4, **SMALL).fit(panel_frame)
