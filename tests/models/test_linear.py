"""NLinear and DLinear against the formulas of the paper, written with loops in NumPy."""

import numpy as np
import pytest
import torch

from statespace.errors import InputError, ShapeError
from statespace.models import DLinear, NLinear

H, SIZE, CHANNELS, BATCH = 5, 12, 3, 4


def signal() -> torch.Tensor:
    return torch.randn(BATCH, SIZE, CHANNELS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def mapped(part, window: np.ndarray, channel: int) -> np.ndarray:
    row = channel if len(part.weight) > 1 else 0
    return part.weight[row].detach().numpy() @ window + part.bias[row].detach().numpy()


def nlinear(model: NLinear, window: np.ndarray, channel: int) -> np.ndarray:
    return mapped(model.map, window - window[-1], channel) + window[-1]


def dlinear(model: DLinear, window: np.ndarray, channel: int) -> np.ndarray:
    around = model.average // 2
    near = [np.clip(np.arange(t - around, t + around + 1), 0, SIZE - 1) for t in range(SIZE)]
    mean = np.array([window[index].mean() for index in near])
    return mapped(model.trend, mean, channel) + mapped(model.season, window - mean, channel)


@pytest.mark.parametrize(("kind", "plain"), [(NLinear, nlinear), (DLinear, dlinear)])
@pytest.mark.parametrize("channels", [None, CHANNELS])
def test_is_the_formula_of_the_paper(kind, plain, channels) -> None:
    torch.manual_seed(0)
    model, x = kind(H, SIZE, channels).double(), signal()
    found = model(x)
    assert found.shape == (BATCH, H, CHANNELS)
    for b in range(BATCH):
        for c in range(CHANNELS):
            expected = plain(model, x[b, :, c].numpy(), c)
            np.testing.assert_allclose(found[b, :, c].detach().numpy(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("average", [1, 5, 25])
def test_averages_of_any_length(average: int) -> None:
    model, x = DLinear(H, SIZE, average=average).double(), signal()[..., 0]
    np.testing.assert_allclose(model(x)[1].detach().numpy(), dlinear(model, x[1].numpy(), 0), rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", [NLinear, DLinear])
def test_windows_without_channels(kind) -> None:
    model, x = kind(H, SIZE).double(), signal()
    torch.testing.assert_close(model(x[..., 0]), model(x)[..., 0])
    assert sum(p.numel() for p in kind(H, SIZE, 3).parameters()) == 3 * sum(p.numel() for p in model.parameters())


def test_a_shift_of_the_window_shifts_the_forecast() -> None:
    """What NLinear is for, exactly; DLinear learns it or not."""
    model, x = NLinear(H, SIZE).double(), signal()
    torch.testing.assert_close(model(x + 100), model(x) + 100, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", [NLinear, DLinear])
def test_what_is_refused(kind) -> None:
    name = kind.__name__
    with pytest.raises(InputError, match=f"{name}: h is 0"):
        kind(0, SIZE)
    with pytest.raises(InputError, match=f"{name}: channels is 0"):
        kind(H, SIZE, 0)
    with pytest.raises(ShapeError, match=rf"{name}: x is \(4, 3, 12\).*looks transposed"):
        kind(H, SIZE)(signal().mT)
    with pytest.raises(ShapeError, match=rf"{name}: x is \(4, 12, 3\).*with 2 channels"):
        kind(H, SIZE, 2)(signal())
    with pytest.raises(ShapeError, match=rf"{name}: x is \(4, 7\).*\(b, 12\)"):
        kind(H, SIZE)(torch.zeros(4, 7))
    with pytest.raises(InputError, match=r"DLinear: average is 4, but an odd number .* pass 5"):
        DLinear(H, SIZE, average=4)
