"""The reference against SciPy and closed forms."""

import numpy as np
import scipy.signal
import torch

from statespace.kernels.linear_scan import linear_scan


def test_one_pole_is_scipys_filter():
    rng = np.random.default_rng(0)
    b, a, start = rng.normal(size=200) + 1j * rng.normal(size=200), 0.97 * np.exp(0.3j), 0.3 + 0.1j
    expected, _ = scipy.signal.lfilter([1], [1, -a], b, zi=[a * start])
    factor, state = torch.tensor([a], dtype=torch.complex128), torch.tensor([[start]], dtype=torch.complex128)
    h = linear_scan(factor, torch.tensor(b)[None, :, None], state, backend="reference")
    np.testing.assert_allclose(h[0, :, 0], expected, rtol=0, atol=1e-13)  # both round the same 200 steps


def test_changing_factors_have_a_closed_form():
    # h[t] = sum_s b[s] prod_{s < r <= t} a[r], written out.
    a, b = torch.rand(30, 4, dtype=torch.float64), torch.randn(30, 4, dtype=torch.float64)
    h = linear_scan(a[None], b[None], backend="reference")[0]
    for t in (0, 1, 17, 29):
        expected = sum(b[s] * a[s + 1 : t + 1].prod(0) for s in range(t + 1))
        torch.testing.assert_close(h[t], expected, rtol=0, atol=1e-14)


def test_irregular_samples_of_a_decay_are_the_exponential():
    # h(t) = exp(-t / 3) at any stamps, through factors exp(-dt / 3).
    stamps = torch.rand(50, dtype=torch.float64).mul(9).cumsum(0) / 5
    steps = torch.diff(stamps, prepend=torch.zeros(1, dtype=torch.float64))
    a = torch.exp(-steps / 3)[None, :, None]
    h = linear_scan(a, torch.zeros_like(a), torch.ones(1, 1, dtype=torch.float64), backend="reference")
    torch.testing.assert_close(h[0, :, 0], torch.exp(-stamps / 3), rtol=0, atol=1e-14)
