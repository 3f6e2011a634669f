"""The reference against SciPy: one complex pole, and the equivalent real system."""

import numpy as np
import scipy.signal
import torch

from statespace.kernels.lti_scan import lti_scan


def test_one_pole_is_scipys_filter():
    rng = np.random.default_rng(0)
    u, a, b, c, start = rng.normal(size=200), 0.97 * np.exp(0.3j), 0.4 - 0.2j, 1.5 + 0.7j, 0.3 + 0.1j
    h, last = scipy.signal.lfilter([b], [1, -a], u.astype(complex), zi=[a * start])
    tensors = [torch.tensor([[value]], dtype=torch.complex128) for value in (np.log(a), b, c)]
    y, final = lti_scan(
        torch.tensor(u)[None, :, None],
        *tensors,
        torch.full((1,), 0.5),
        torch.full((1, 1, 1), start, dtype=torch.complex128),
        backend="reference",
    )
    # Both round the same 200 steps in float64.
    np.testing.assert_allclose(y[0, :, 0], (c * h).real + 0.5 * u, rtol=0, atol=1e-13)
    np.testing.assert_allclose(final[0, 0] * a, last, rtol=0, atol=1e-13)


def test_conjugate_pairs_are_scipys_real_system():
    rng = np.random.default_rng(1)
    n, steps = 3, 120
    log_a = -rng.uniform(0.01, 0.3, n) + 1j * rng.uniform(0, 2, n)
    b, c = rng.normal(size=(2, n)) + 1j * rng.normal(size=(2, n))
    a, u = np.exp(log_a), rng.normal(size=steps)
    # h = x + i z: [x, z]' = [[re a, -im a], [im a, re a]] [x, z] + [re b, im b] u, y = re c x - im c z.
    A = np.block([[np.diag(a.real), -np.diag(a.imag)], [np.diag(a.imag), np.diag(a.real)]])
    B, C = np.concatenate([b.real, b.imag])[:, None], np.concatenate([c.real, -c.imag])[None, :]
    # dlsim reads its output before the step, ours after: the same system with C A and a feedthrough of C B.
    _, expected, _ = scipy.signal.dlsim((A, B, C @ A, C @ B, 1), u)
    y, _ = lti_scan(
        torch.tensor(u)[None, :, None], *(torch.tensor(x)[None] for x in (log_a, b, c)), backend="reference"
    )
    np.testing.assert_allclose(y[0, :, 0], expected[:, 0], rtol=0, atol=1e-12)


def test_lengths_cut_sequences_off():
    u = torch.randn(3, 20, 2, dtype=torch.float64)
    log_a, b, c = (torch.randn(2, 4, dtype=torch.complex128) - 1 for _ in range(3))
    lengths = torch.tensor([0, 7, 20])
    y, final = lti_scan(u, log_a, b, c, lengths=lengths, backend="reference")
    for i, length in enumerate(lengths.tolist()):
        alone, last = lti_scan(u[i : i + 1, :length], log_a, b, c, backend="reference")
        assert torch.equal(y[i, :length], alone[0])
        assert (y[i, length:] == 0).all()
        assert torch.equal(final[i], last[0])
