"""The Mamba-3 block: the complex recurrence written out, the continuous system it tends to, and long streams."""

from itertools import pairwise
from math import log, pi

import pytest
import torch
from scipy.integrate import solve_ivp
from torch.nn import functional as F

from statespace.errors import InputError, ShapeError
from statespace.kernels import native
from statespace.kernels.rotation import BACKENDS, rotation
from statespace.kernels.selective_scan import selective_scan
from statespace.layers import Mamba3

LENGTH = 29


def make(**options):
    torch.manual_seed(0)
    layer = Mamba3(4, 6, head_dim=2, n_groups=2, **options).double()
    with torch.no_grad():
        for name in ("B_norm", "C_norm", "B_bias", "C_bias", "D"):
            getattr(layer, name).uniform_(0.5, 1.5)
        layer.into.weight.mul_(2)
    return layer


def projected(layer, u):
    """What a sample brings, as the paper has it: z, x, B and C of each head, Δ, A, λ and θ / Δ."""
    angles = layer.angles
    z, x, B, C, dt, A, blend, turn = layer.into(u).split([8, 8, 12, 12, 4, 4, 4, angles], -1)

    def vectors(rows, weight, bias):
        rows = rows.unflatten(-1, (2, 6))
        rows = weight * rows / (rows.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return rows[..., [0, 0, 1, 1], :] + bias

    B, C = vectors(B, layer.B_norm, layer.B_bias), vectors(C, layer.C_norm, layer.C_bias)
    rate = -F.softplus(A).clamp(min=1e-4)
    return (
        z,
        x.unflatten(-1, (4, 2)),
        B,
        C,
        F.softplus(dt + layer.dt_bias),
        rate,
        torch.sigmoid(blend),
        pi * turn.tanh(),
    )


def as_complex(rows, angles):
    """The first pairs as complex numbers, and the rest as real ones: ``(..., n)`` to ``(..., angles + rest)``."""
    pairs = torch.view_as_complex(rows[..., : 2 * angles].unflatten(-1, (-1, 2)).contiguous())
    return torch.cat([pairs, rows[..., 2 * angles :] + 0j], -1)


@pytest.mark.parametrize("rotated", [0.4, 0.7, 1.0])
def test_is_the_complex_recurrence_of_the_paper(rotated):
    """h_t = α e^{-iθ} (h + (1 - λ) Δ x B of the sample before) + λ Δ x B, y_t = Re sum conj(C) h, at unequal times."""
    layer = make(rotated=rotated)
    assert layer.angles == {0.4: 1, 0.7: 2, 1.0: 3}[rotated]
    u = torch.randn(2, LENGTH, 4, dtype=torch.float64)
    elapsed = 0.2 + 3 * torch.rand(2, LENGTH, dtype=torch.float64)
    z, x, B, C, dt, A, blend, turn = projected(layer, u)
    step = dt * elapsed[..., None]
    B, C = as_complex(B, layer.angles), as_complex(C, layer.angles)
    h = torch.zeros(2, 4, 2, B.shape[-1], dtype=torch.complex128)
    before, outputs = torch.zeros_like(h), []
    for t in range(LENGTH):
        phase = torch.zeros(2, 4, B.shape[-1], dtype=torch.float64)
        phase[..., : layer.angles] = turn[:, t, None] * step[:, t, :, None]
        alpha = torch.exp(step[:, t] * A[:, t])[..., None] * torch.exp(-1j * phase)
        inflow = x[:, t, :, :, None] * B[:, t, :, None]
        early, late = ((1 - blend[:, t]) * step[:, t])[..., None, None], (blend[:, t] * step[:, t])[..., None, None]
        h = alpha[:, :, None] * (h + early * before) + late * inflow
        before = inflow
        outputs.append((h * C[:, t, :, None].conj()).sum(-1).real + layer.D[:, None] * x[:, t])
    expected = layer.out(torch.stack(outputs, 1).flatten(-2) * F.silu(z))
    torch.testing.assert_close(layer(u, dt=elapsed)[0], expected, rtol=0, atol=1e-11)


def test_at_equal_steps_is_the_trapezoid_of_the_selective_scan():
    """λ = 1/2, no turning, equal Δ: there the two rules are one, and the other is computed by another kernel."""
    layer = make()
    with torch.no_grad():
        layer.into.weight[40:] = 0  # Δ, A, λ and θ do not follow the input: λ = 1/2, A = -log 2, θ = 0
    u = torch.randn(2, LENGTH, 4, dtype=torch.float64)
    z, x, B, C, dt, *_ = projected(layer, u)
    outputs = []
    for head in range(4):  # an output for each channel of the head
        rate = torch.full((2, 6), -log(2), dtype=torch.float64)
        y = selective_scan(
            x[:, :, head],
            dt[:, :, head, None].expand(-1, -1, 2).contiguous(),
            rate,
            B[:, :, head],
            C[:, :, head],
            layer.D[head].expand(2),
            method="exponential-trapezoidal",
        )
        outputs.append(y)
    expected = layer.out(torch.cat(outputs, -1) * F.silu(z))
    torch.testing.assert_close(layer(u)[0], expected, rtol=0, atol=1e-11)


def continuous(frequency, weigh):
    """A layer whose projections are constant: channel 0 is 1 throughout, channel 1 is the signal."""
    layer = Mamba3(2, 2, expand=1, head_dim=1, rotated=1.0).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        for vector in ("B_bias", "C_bias"):
            getattr(layer, vector).copy_(torch.tensor([[1.0, 0.0]] * 2))
        layer.dt_bias.fill_(log(torch.e - 1))  # softplus of it is 1: Δ is the time between samples
        # rows: z 0-1, x 2-3, B 4-5, C 6-7, Δ 8-9, A 10-11, λ 12-13, θ 14
        layer.into.weight[1, 0] = 1.0  # the gate, SiLU(1)
        layer.into.weight[3, 1] = 1.0  # the signal goes to the second head
        layer.into.weight[12:14, 0] = weigh  # λ = σ(weigh)
        layer.into.weight[14, 0] = torch.atanh(torch.tensor(frequency / pi))
        layer.out.weight[1, 1] = 1 / F.silu(torch.tensor(1.0)).item()
    return layer


@pytest.mark.parametrize(("weigh", "order"), [(0.0, 2.0), (40.0, 1.0)], ids=["trapezoid", "euler"])
def test_tends_to_the_continuous_system(weigh, order):
    """x' = (-log 2 - 2i) x + u at unequal stamps: errors fall with the step squared, and for λ = 1 with the step."""
    frequency = 2.0
    exact = (
        solve_ivp(
            lambda t, s: (-log(2) - 1j * frequency) * s + torch.sin(torch.tensor(3.0 * t)).item(),
            (0, 2.0),
            [0j],
            rtol=1e-11,
            atol=1e-12,
        )
        .y[0, -1]
        .real
    )
    errors = []
    torch.manual_seed(0)
    layer = continuous(frequency, weigh)
    coarse = torch.rand(40, dtype=torch.float64) + 0.2
    for halvings in (2, 3, 4):
        dt = coarse.repeat_interleave(2**halvings)
        dt = 2.0 * dt / dt.sum()
        stamps = dt.cumsum(0)
        u = torch.stack([torch.ones_like(stamps), torch.sin(3 * stamps)], -1)[None]
        y, _ = layer(u, dt=dt[None])
        errors.append(abs(y[0, -1, 1].item() - exact))
    for rough, fine in pairwise(errors):
        assert torch.log2(torch.tensor(rough / fine)).item() == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "native" or not native.why_missing()])
def test_angles_keep_their_phase_over_long_streams(backend):
    """A million steps of one float32 angle: the phase of the sum is known to 1e-8, carried over from piece to piece."""
    angle = torch.tensor(2.7, dtype=torch.float32)
    state, rows = torch.zeros(1, 1, 1, dtype=torch.float64), torch.ones(1, 100_000, 1, 2)
    vectors = torch.ones(2), torch.ones(2), torch.zeros(1, 2), torch.zeros(1, 2)
    for _ in range(10):
        *_, state = rotation(rows, rows, *vectors, angle.expand(1, 100_000, 1), rows[..., 0], state, 0.0, backend)
    exact = (1_000_000 * angle.double()) % (2 * pi)
    assert torch.cos(state - exact).item() == pytest.approx(1.0, abs=1e-15)
    assert abs(torch.sin(state - exact).item()) < 1e-8
    assert state.abs().max() <= pi


def test_steps_near_zero_stay_finite():
    """Δ that underflows: the quotient of weight and decay, and its gradient, do not."""
    layer = Mamba3(4, 6, head_dim=2)
    with torch.no_grad():
        layer.dt_bias[:2] = -100.0
        layer.into.weight[-9:-5] *= 50
    u = (30 * torch.randn(2, LENGTH, 4)).requires_grad_()
    y, state = layer(u)
    gradients = torch.autograd.grad(y.sum() + sum(part.sum() for part in state), [u, *layer.parameters()])
    assert all(value.isfinite().all() for value in (y, *state, *gradients))


def test_starts_as_published():
    layer = Mamba3(64, head_dim=1)
    dt = F.softplus(layer.dt_bias)
    assert 1e-3 * 0.999 <= dt.min() < 2e-3
    assert 5e-2 < dt.max() <= 1e-1 * 1.001
    assert layer.angles == 32  # half of 128 states turn, in pairs
    assert all((bias == 1).all() for bias in (layer.B_bias, layer.C_bias))
    assert [id(p) for p in layer.ssm_parameters()] == [id(layer.dt_bias), id(layer.D)]


@pytest.mark.parametrize(
    ("make_it", "sentence"),
    [
        (lambda: Mamba3(0), "Mamba3: d_model is 0"),
        (lambda: Mamba3(4, 1), "Mamba3: d_state is 1, but a whole number of at least 2"),
        (lambda: Mamba3(4, rotated=0.0), r"Mamba3: rotated is 0.0, but a share .* \(0, 1\]"),
        (lambda: Mamba3(4, rotated=1.5), "Mamba3: rotated is 1.5"),
        (lambda: Mamba3(4, head_dim=3), "Mamba3: head_dim is 3, .* choose one of 1, 2, 4, 8"),
        (lambda: Mamba3(4, head_dim=2, n_groups=3), "Mamba3: n_groups is 3"),
        (lambda: Mamba3(4, dt_min=0.0), "Mamba3: dt_min is 0.0"),
        (lambda: Mamba3(4)(torch.zeros(1, 2, 4), dt=torch.tensor([[1.0, -1.0]])), "Mamba3.forward: dt has -1.0"),
        (lambda: Mamba3(4)(torch.zeros(1, 2, 4), dt_scale=0.0), "Mamba3.forward: dt_scale is 0"),
    ],
)
def test_what_is_refused(make_it, sentence):
    with pytest.raises(InputError, match=sentence):
        make_it()


def test_the_state_of_another_layer_is_refused():
    with pytest.raises(ShapeError, match=r"Mamba3.step: state\[0\] is \(2, 4, 2, 8\)"):
        Mamba3(4, 6).step(torch.zeros(2, 4), Mamba3(4, 8).initial_state(2))
