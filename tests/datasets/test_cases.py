"""The bundled sets of signals: as many, as long and of as many classes as the archives say."""

import numpy as np
import pytest

from statespace.datasets import CASES, load_cases
from statespace.errors import InputError


@pytest.mark.parametrize(
    ("name", "train", "test", "channels", "length", "classes"),
    [
        ("basic-motions", 40, 40, 6, 100, 4),
        ("gunpoint", 50, 150, 1, 150, 2),
        ("italy-power-demand", 67, 1029, 1, 24, 2),
    ],
)
def test_the_sets_are_those_of_the_archives(
    name: str, train: int, test: int, channels: int, length: int, classes: int
) -> None:
    for part, count in (("train", train), ("test", test)):
        cases = load_cases(name, part)
        assert len(cases.X) == len(cases.y) == count
        assert {signal.shape for signal in cases.X} == {(channels, length)}
        assert len(np.unique(cases.y)) == classes
        assert all(np.isfinite(signal).all() for signal in cases.X)
    assert set(CASES) == {"basic-motions", "gunpoint", "italy-power-demand"}


def test_unknown_names_are_listed() -> None:
    with pytest.raises(InputError, match="choose one of basic-motions"):
        load_cases("gunpiont")
    with pytest.raises(InputError, match="part is 'val'"):
        load_cases("gunpoint", "val")
