"""Location and scale of a window, against NumPy on what was observed of it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from statespace.models.instance_norm import FLOOR, NORMS, Reversible, normalise

WANTED: dict[str, tuple[Callable[[np.ndarray], float], Callable[[np.ndarray], float]]] = {
    "standard": (np.mean, np.std),
    "robust": (np.median, lambda x: float(np.subtract(*np.quantile(x, [0.75, 0.25])) / 1.3489795003921634)),
    "minmax": (lambda x: (x.min() + x.max()) / 2, lambda x: (x.max() - x.min()) / 2),
    "scale": (lambda _: 0.0, lambda x: np.abs(x).mean()),
}


@pytest.mark.parametrize("kind", WANTED)
@pytest.mark.parametrize("length", [1, 2, 7, 24])
def test_is_numpy_on_what_was_observed(kind: str, length: int) -> None:
    x = 3 + 2 * torch.randn(50, length, dtype=torch.float64)
    observed = (torch.rand(50, length) < 0.7).double()
    observed[:, -1] = 1
    found = normalise(x, observed, kind)
    location, scale = WANTED[kind]
    for i in range(50):
        seen = x[i][observed[i] > 0].numpy()
        want = np.sqrt(scale(seen) ** 2 + FLOOR**2)
        np.testing.assert_allclose(found.location[i, 0], location(seen), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.scale[i, 0], want, rtol=1e-9)
        np.testing.assert_allclose(found.x[i][observed[i] > 0], (seen - location(seen)) / want, rtol=1e-9, atol=1e-12)
        assert (found.x[i][observed[i] == 0] == 0).all()


def test_a_learnt_scale_and_shift_start_as_nothing_and_are_undone_on_the_way_back() -> None:
    x, observed = 3 + 2 * torch.randn(20, 24, dtype=torch.float64), (torch.rand(20, 24) < 0.7).double()
    kind, plain = Reversible().double(), normalise(x, observed)
    for one, another in zip(normalise(x, observed, kind), plain, strict=True):
        assert torch.equal(one, another)
    with torch.no_grad():
        kind.log_scale.fill_(np.log(0.4))
        kind.shift.fill_(1.7)
    found = normalise(x, observed, kind)
    torch.testing.assert_close(found.x, (0.4 * plain.x + 1.7) * observed)
    torch.testing.assert_close((found.x * found.scale + found.location) * observed, x * observed)
    torch.testing.assert_close(kind.before(found.scale), plain.scale)


def test_none_leaves_the_window_as_it_is() -> None:
    x, observed = torch.randn(4, 9), (torch.rand(4, 9) < 0.5).float()
    found = normalise(x, observed, "none")
    assert torch.equal(found.x, x * observed)
    assert (found.location == 0).all()
    assert (found.scale == 1).all()


@pytest.mark.parametrize("kind", NORMS)
def test_what_stands_in_a_gap_does_not_matter_and_nothing_at_all_is_zero(kind: str) -> None:
    x, observed = torch.randn(6, 12), (torch.rand(6, 12) < 0.5).float()
    observed[0] = 0
    found, other = (normalise(torch.where(observed > 0, x, gap), observed, kind) for gap in (0.0, 1e6))
    for one, another in zip(found, other, strict=True):
        assert torch.equal(one, another)
        assert one.isfinite().all()
    assert found.location[0] == 0
    assert (found.x[0] == 0).all()
