"""The reference against closed forms and SciPy, which know nothing of scans."""

import numpy as np
import pytest
import scipy.signal
import torch

from statespace.kernels.selective_scan import selective_scan
from statespace.kernels.selective_scan.reference import phi


def double(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def run(*args, **kwargs):
    return selective_scan(*args, **kwargs, backend="reference")


@pytest.mark.parametrize("is_complex", [False, True])
def test_is_the_sum_over_all_earlier_inputs(is_complex):
    # y[t] = sum over s <= t of C[t] exp(A (dt[s+1] + ... + dt[t])) dt[s] B[s] u[s]: no recurrence anywhere.
    b, length, d, n = 2, 9, 3, 4
    u, dt = double(b, length, d), double(b, length, d, seed=1).abs()
    A, B, C = -double(d, n, seed=2).abs(), double(b, length, n, seed=3), double(b, length, n, seed=4)
    if is_complex:
        A, B, C = (torch.complex(x, double(*x.shape, seed=9)) for x in (A, B, C))
    clock = dt.cumsum(1)
    passed = (clock[:, :, None] - clock[:, None]).permute(0, 3, 1, 2).tril()  # (b, d, t, s)
    weights = torch.exp(passed[..., None] * A[:, None, None]) * torch.ones(length, length).tril()[..., None]
    expected = torch.einsum("btn,bdtsn,bsn,bsd->btd", C, weights.to(A.dtype), B, (dt * u).to(A.dtype)).real
    # 1e-13: a few dozen roundings of 1e-16.
    torch.testing.assert_close(run(u, dt, A, B, C), expected, rtol=0, atol=1e-13 * float(expected.abs().max()))


def test_zoh_equals_scipy():
    a, b, c, dt = np.array([-0.3, -2.0, 0.0]), np.array([1.0, -0.5, 0.25]), np.array([0.7, 2.0, 1.0]), 0.4
    u = np.random.default_rng(0).standard_normal(30)
    system = (np.diag(a), b[:, None], c[None], np.zeros((1, 1)))
    Abar, Bbar, Cbar, _, _ = scipy.signal.cont2discrete(system, dt, "zoh")
    # dlsim reads its output before the step, ours after: C Abar with a feedthrough of C Bbar.
    _, expected, _ = scipy.signal.dlsim((Abar, Bbar, Cbar @ Abar, Cbar @ Bbar, dt), u)
    y = run(
        torch.tensor(u)[None, :, None],
        torch.full((1, 30, 1), dt, dtype=torch.float64),
        *(torch.tensor(x)[None] for x in (a, b, c)),
        method="zoh",
    )
    np.testing.assert_allclose(y[0, :, 0], expected[:, 0], rtol=0, atol=1e-13)


def test_exponential_trapezoidal_is_the_rule_of_mamba_3_at_a_constant_step():
    # h[t] = a h[t-1] + dt/2 a B[t-1] u[t-1] + dt/2 B[t] u[t], written down as it stands in the paper.
    rng = np.random.default_rng(1)
    length, n, dt = 20, 3, 0.3
    u, a = rng.standard_normal(length), np.exp(-dt * np.arange(1, n + 1))
    B, C = rng.standard_normal((length, n)), rng.standard_normal((length, n))
    h, before, expected = np.zeros(n), np.zeros(n), []
    for t in range(length):
        now = dt / 2 * B[t] * u[t]
        h, before = a * h + a * before + now, now
        expected.append(C[t] @ h)
    y = run(
        torch.tensor(u)[None, :, None],
        torch.full((1, length, 1), dt, dtype=torch.float64),
        -torch.arange(1.0, n + 1, dtype=torch.float64)[None],
        torch.tensor(B)[None],
        torch.tensor(C)[None],
        method="exponential-trapezoidal",
    )
    np.testing.assert_allclose(y[0, :, 0], expected, rtol=0, atol=1e-13)


def test_exponential_trapezoidal_is_the_method_of_the_discretizations():
    from statespace.discretization import exponential_trapezoidal_diagonal

    length, n, dt = 15, 4, 0.2
    u = double(1, length, 1)
    A, B, C = (double(1, n, seed=seed) for seed in (1, 2, 3))
    A = -A.abs()
    system = exponential_trapezoidal_diagonal(A[0], B.mT, C, torch.zeros(1, 1, dtype=torch.float64), dt)
    state, expected = torch.zeros(n, dtype=torch.float64), []
    for x in u[0]:
        expected.append(system.C @ state + system.D @ x)
        state = system.A * state + system.B @ x
    y = run(u, torch.full_like(u, dt), A, B, C, method="exponential-trapezoidal")
    torch.testing.assert_close(y[0], torch.stack(expected), rtol=0, atol=1e-13)


def test_gate_bias_softplus_and_feedthrough():
    u, dt, z = double(1, 5, 2), double(1, 5, 2, seed=1), double(1, 5, 2, seed=2)
    bias, D = double(2, seed=3), double(2, seed=4)
    A, zero = -torch.ones(2, 3, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.float64)
    y = run(u, dt, A, zero, zero, D=D, z=z)
    torch.testing.assert_close(y, D * u * z / (1 + torch.exp(-z)), rtol=1e-14, atol=0)
    steps = torch.log1p(torch.exp(dt + bias))
    B, C = double(1, 5, 3, seed=5), double(1, 5, 3, seed=6)
    torch.testing.assert_close(
        run(u, dt, A, B, C, dt_bias=bias, dt_softplus=True), run(u, steps, A, B, C), rtol=0, atol=1e-13
    )


def test_each_channel_takes_the_vectors_of_its_group():
    u, dt, A = double(2, 6, 6), double(2, 6, 6, seed=1).abs(), -double(6, 3, seed=2).abs()
    B, C = double(2, 6, 2, 3, seed=3), double(2, 6, 2, 3, seed=4)
    y = run(u, dt, A, B, C)
    for g, part in enumerate((slice(0, 3), slice(3, 6))):
        alone = run(u[..., part], dt[..., part], A[part], B[:, :, g], C[:, :, g])
        assert torch.equal(y[..., part], alone)


def test_phi_is_accurate_on_both_sides_of_its_series():
    from mpmath import mp, mpc

    with mp.workdps(40):
        for z in (0, 1e-12, -1e-4, 0.49, -0.5, 0.51, -3, 1e-6j, 0.3 - 0.3j, 0.5j, -2 + 5j):
            exact = (mp.exp(mpc(z)) - 1) / mpc(z) if z else mpc(1)
            # 4e-16: two or three roundings.
            assert abs(phi(torch.tensor(complex(z), dtype=torch.complex128)).item() - complex(exact)) <= 6e-16
