"""Features of responses, against SciPy's simulation of the same continuous systems."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal as scipy_signal

from statespace.errors import InputError, ShapeError
from statespace.models import ResponseFeatures


def fitted(
    channels: int = 2, length: int = 60, causal: bool = False, **options: Any
) -> tuple[ResponseFeatures, torch.Tensor]:
    x = torch.randn(6, length, channels, generator=torch.Generator().manual_seed(3))
    features = ResponseFeatures(channels, 15.0, systems=12, thresholds=3, causal=causal, seed=1, **options)
    return features.fit_thresholds(x, torch.full((6,), length)), x


def simulated(features: ResponseFeatures, k: int, u: np.ndarray) -> np.ndarray:
    """The response of a system to ``(l, channels)`` by SciPy, in the order of time."""
    poles, C = features.A[k].numpy(), features.C[k].numpy()
    # A pair of conjugate poles for each oscillation; the real part of the sum is half of both.
    A = np.diag(np.concatenate([poles, poles.conj()]))
    B = np.ones((4, 1), complex)
    Cs = np.concatenate([C, C.conj()])[None] / 2
    D = np.array([[float(features.D[k])]])
    Ad, Bd, Cd, Dd, _ = scipy_signal.cont2discrete((A, B, Cs, D), 1.0, method="foh")
    against = -1 if features.backwards[k] else 1
    state, y = np.zeros(4, complex), []
    for value in (u @ features.mix[k].numpy())[::against]:
        y.append((Cd @ state + Dd[:, 0] * value).real[0])
        state = Ad @ state + Bd[:, 0] * value
    return np.array(y)[::against]


@pytest.mark.parametrize("kind", [{}, {"levels": True}, {"sharp": True}], ids=["changes", "levels", "sharp"])
def test_shares_and_contests_are_those_of_a_simulation_by_scipy(kind: dict[str, bool]) -> None:
    features, x = fitted(**kind, contests=True, parts=(3,))
    assert bool(features.D.any()) != kind.get("levels", False)
    found = features(x, torch.full((6,), 60)).view(6, 4, 12, 5).numpy()
    y = np.stack([[simulated(features, k, case) for k in range(12)] for case in x.numpy()])  # (case, k, l)
    size = np.sqrt((y**2).mean((0, 2)))
    np.testing.assert_allclose(features.size, size, rtol=1e-4)
    held = [y > level[:, None] for level in features.thresholds.T.numpy()]
    for best in (np.max, np.min):
        sized = y / size[:, None]
        groups = [sized[:, :8], sized[:, 8:]]  # the last one has four
        held.append(np.concatenate([group == best(group, 1, keepdims=True) for group in groups], 1))
    for part, samples in enumerate((slice(0, 60), slice(0, 20), slice(20, 40), slice(40, 60))):
        expected = np.stack([one[..., samples].mean(-1) for one in held], -1)
        one_sample = 1 / (samples.stop - samples.start)  # it may lie on a threshold, or two systems be equal
        np.testing.assert_allclose(found[:, part], expected, atol=one_sample + 1e-6)
        assert (np.abs(found[:, part] - expected) > 1e-6).mean() < 0.05


def test_sharp_systems_ring_for_as_many_cycles_as_their_time_constants_hold() -> None:
    for span in (1.0, 20.0, 500.0):
        A = ResponseFeatures(1, span, systems=500, sharp=True).A
        cycles = -A.imag / A.real / (2 * np.pi)
        assert -1 / A.real.max() <= max(span, 1.0) * (1 + 1e-9)
        assert A.imag.max() <= np.pi
        assert cycles.max() <= min(32, span / 2) * (1 + 1e-9)  # each has two samples at least
        assert span < 64 or cycles.min() >= 2


def test_nobody_wins_where_nothing_answers() -> None:
    """Long after a step, what is left of the responses is rounding; and a channel that is silent has no size."""
    features, x = fitted(contests=True, causal=True)
    x[..., 0] = 0
    features.fit_thresholds(x, torch.full((6,), 60))
    assert features.size.isinf().sum() == (features.mix[:, 1] == 0).sum()
    quiet = torch.cat([x[:1], x[:1, -1:].expand(1, 20000, 2)], 1)
    shares = features(quiet, torch.tensor([20060])).view(12, 5)
    assert float(shares[:, 3:].sum()) < 0.2  # of two groups, that win and lose: 4 where rounding is told from rounding


def test_a_constant_is_not_seen_and_a_threshold_is_a_response_to_a_training_signal() -> None:
    features, x = fitted(causal=True)
    level = torch.ones(6, 400, 2)
    for sign in (1, -1):
        settled = ResponseFeatures(2, 2.0, systems=8, seed=1)
        settled.thresholds.fill_(sign * 1e-3)
        above = settled(level, torch.full((6,), 400))
        assert float((above - (sign < 0) * 1.0).abs().max()) < 0.1  # but for the samples after the start
    assert not bool(features.backwards.any())
    flat = torch.cat([level, torch.randn(6, 10, 2)], 1)
    assert float(settled.fit_thresholds(flat, torch.full((6,), 410)).thresholds.abs().min()) > 1e-7  # rounding is 1e-8
    shares = features(x, torch.full((6,), 60))
    assert 0.2 < float(shares.mean()) < 0.8


def test_what_stands_beyond_the_end_and_what_was_not_measured_does_not_count() -> None:
    features, x = fitted()
    lengths = torch.tensor([60, 50, 40, 30, 20, 10])
    poisoned = x.clone()
    for row, length in enumerate(lengths.tolist()):
        poisoned[row, length:] = torch.nan
    ragged = features(poisoned, lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(ragged[row], features(x[row : row + 1, :length], torch.tensor([length]))[0])
    observed = torch.ones(6, 60, dtype=torch.bool)
    torch.testing.assert_close(features(x, torch.full((6,), 60), 1.0, observed), features(x, torch.full((6,), 60)))
    none = features(x[:1], torch.tensor([60]), 1.0, torch.zeros(1, 60, dtype=torch.bool))
    assert bool((none == 0).all())


def test_half_the_rate_gives_nearly_the_same_features() -> None:
    t = torch.arange(4000) / 4000 * 40
    smooth = torch.stack([torch.sin(2 * t) + 0.5 * torch.sin(5.3 * t + 1), torch.cos(1.7 * t)], -1)[None]
    features = ResponseFeatures(2, 400.0, systems=300, seed=0).fit_thresholds(smooth, torch.tensor([4000]))
    slow = [k for k in range(300) if float(features.A[k].abs().max()) < 0.2]  # far below the slower rate
    whole = features(smooth, torch.tensor([4000])).view(300, 4)[slow]
    half = features(smooth[:, ::2], torch.tensor([2000]), 2.0).view(300, 4)[slow]
    unscaled = features(smooth[:, ::2], torch.tensor([2000])).view(300, 4)[slow]
    assert len(slow) > 10
    assert float((whole - half).abs().mean()) < 0.02
    assert float((whole - unscaled).abs().mean()) > 2 * float((whole - half).abs().mean())


def test_bad_arguments_are_named() -> None:
    for name, options in {
        "channels": {"channels": 0, "span": 1.0},
        "systems": {"channels": 1, "span": 1.0, "systems": 0},
        "span": {"channels": 1, "span": float("nan")},
        r"parts\[1\]": {"channels": 1, "span": 1.0, "parts": (4, 0)},
        "parts": {"channels": 1, "span": 1.0, "parts": 4},
    }.items():
        with pytest.raises(InputError, match=f"ResponseFeatures: {name} is"):
            ResponseFeatures(**options)  # type: ignore[arg-type]
    for parts in ((2.5,), "48"):
        with pytest.raises(InputError, match=r"parts is .*, but whole numbers such as \(4,\) are expected"):
            ResponseFeatures(1, 5.0, parts=parts)  # type: ignore[arg-type]
    features, x = fitted()
    with pytest.raises(ShapeError, match=r"x is \(6, 2, 60\)"):
        features(x.mT, torch.full((6,), 60))
    with pytest.raises(InputError, match="dt_scale is 0"):
        features(x, torch.full((6,), 60), 0)
