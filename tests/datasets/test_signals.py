"""The bundled signals against what their source says of them."""

import pytest

from statespace.datasets import SIGNALS, load_signal
from statespace.errors import InputError


def test_the_electrocardiogram_is_what_pywavelets_distributes() -> None:
    frame = load_signal("ecg")
    assert list(frame.columns) == ["unique_id", "ds", "y"]
    assert frame["ds"].tolist() == list(range(1024))
    assert frame["y"].head(5).tolist() == [-86.0, -87.0, -87.0, -89.0, -89.0]
    assert (frame["y"].min(), frame["y"].max()) == (-112.0, 250.0)


def test_an_unknown_name_lists_the_known_ones() -> None:
    assert list(SIGNALS) == ["ecg"]
    with pytest.raises(InputError, match=r"load_signal: name is 'eeg'.*Did you mean 'ecg'"):
        load_signal("eeg")
