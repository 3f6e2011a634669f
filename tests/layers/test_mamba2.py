"""SSD and the Mamba-2 block: parity with transformers, the recurrence of the paper written out, what is refused."""

import re

import pytest
import torch
from torch.nn import functional as F

from statespace.errors import InputError, ShapeError
from statespace.layers import SSD, Mamba2

LENGTH = 37


def published(name: str) -> str:
    """Our name of a parameter of the published module."""
    for theirs, ours in (("in_proj.", "into."), ("out_proj.", "out."), ("conv1d.", "conv_")):
        name = name.replace(theirs, ours)
    return f"heads.{name}" if name in ("dt_bias", "A_log", "D") else name


@pytest.mark.parametrize(
    "options",
    [
        {"n_groups": 1},
        {"n_groups": 2},
        {"n_groups": 4, "use_bias": True, "use_conv_bias": False},
        {"n_groups": 1, "time_step_limit": (0.3, 0.7)},
    ],
    ids=str,
)
def test_is_the_mixer_of_transformers(options):
    """Random weights in float32: sums of a few hundred terms, in other orders, agree to 1e-5 of the largest."""
    modeling = pytest.importorskip("transformers.models.mamba2.modeling_mamba2")
    config = modeling.Mamba2Config(
        hidden_size=16, num_heads=4, head_dim=8, state_size=12, num_hidden_layers=1, chunk_size=8, **options
    )
    torch.manual_seed(0)
    theirs = modeling.Mamba2Mixer(config, 0).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
    ours = Mamba2(
        16,
        12,
        head_dim=8,
        n_groups=config.n_groups,
        bias=config.use_bias,
        conv_bias=config.use_conv_bias,
        dt_limit=config.time_step_limit,
        eps=config.layer_norm_epsilon,
    )
    weights = {published(name): value for name, value in theirs.state_dict().items()}
    weights["conv_weight"] = weights["conv_weight"][:, 0]
    ours.load_state_dict(weights)
    x = torch.randn(2, LENGTH, 16)
    expected, state, outputs = theirs(x), ours.initial_state(2), []
    with torch.no_grad():
        for sample in x.unbind(1):
            y, state = ours.step(sample, state)
            outputs.append(y)
    for found in (ours(x)[0], torch.stack(outputs, 1)):
        assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def recurrence(x, dt, A, B, C, D):
    """The scan of the paper, sample by sample: x (b, l, h, p), dt (b, l, h), B and C (b, l, h, n)."""
    h, outputs = x.new_zeros(x.shape[0], *x.shape[2:], B.shape[-1]), []
    for t in range(x.shape[1]):
        h = torch.exp(dt[:, t] * A)[..., None, None] * h
        h = h + torch.einsum("bh,bhp,bhn->bhpn", dt[:, t], x[:, t], B[:, t])
        outputs.append(torch.einsum("bhpn,bhn->bhp", h, C[:, t]) + D[:, None] * x[:, t])
    return torch.stack(outputs, 1), h


def test_ssd_is_that_of_the_paper():
    torch.manual_seed(0)
    layer = SSD(8, 3, head_dim=2, n_groups=2).double()
    x = torch.randn(2, LENGTH, 8, dtype=torch.float64)
    elapsed = 0.1 + torch.rand(2, LENGTH, dtype=torch.float64)
    dt, B, C = layer.select(x).split([4, 6, 6], -1)
    step = F.softplus(dt + layer.heads.dt_bias) * (0.5 * elapsed)[..., None]
    B, C = (rows.unflatten(-1, (2, 3))[:, :, [0, 0, 1, 1]] for rows in (B, C))
    u = x.unflatten(-1, (4, 2))
    expected, final = recurrence(u, step, -torch.exp(layer.heads.A_log), B, C, layer.heads.D)
    y, state = layer(x, dt=elapsed, dt_scale=0.5)
    torch.testing.assert_close(y, expected.flatten(-2), rtol=0, atol=1e-12)
    torch.testing.assert_close(state, final, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("norm", "groups"), [("before-gate", None), ("before-gate", 4), ("none", None)])
def test_norms_that_transformers_does_not_have(norm, groups):
    torch.manual_seed(0)
    layer = Mamba2(4, 3, head_dim=2, n_groups=2, norm=norm, norm_groups=groups).double()
    x = torch.randn(2, LENGTH, 4, dtype=torch.float64)
    z, xBC, dt = layer.into(x).split([8, 8 + 12, 4], -1)
    xBC = F.conv1d(F.pad(xBC.mT, (3, 0)), layer.conv_weight[:, None], layer.conv_bias, groups=20).mT
    u, B, C = F.silu(xBC).split([8, 6, 6], -1)
    B, C = (rows.unflatten(-1, (2, 3))[:, :, [0, 0, 1, 1]] for rows in (B, C))
    step, A = F.softplus(dt + layer.heads.dt_bias), -torch.exp(layer.heads.A_log)
    y = recurrence(u.unflatten(-1, (4, 2)), step, A, B, C, layer.heads.D)[0].flatten(-2)
    if norm != "none":
        with torch.no_grad():
            layer.norm.weight.uniform_(0.5, 2)
        apart = y.unflatten(-1, (groups or 2, -1))
        y = layer.norm.weight * (apart / (apart.square().mean(-1, keepdim=True) + 1e-5).sqrt()).flatten(-2)
    torch.testing.assert_close(layer(x)[0], layer.out(y * F.silu(z)), rtol=0, atol=1e-12)


def test_starts_as_published():
    torch.manual_seed(0)
    layer = Mamba2(64, head_dim=1)
    dt = F.softplus(layer.heads.dt_bias)
    assert 1e-3 * 0.999 <= dt.min() < 2e-3
    assert 5e-2 < dt.max() <= 1e-1 * 1.001
    assert 1 <= layer.heads.A_log.exp().min() < 2
    assert 15 < layer.heads.A_log.exp().max() <= 16.001
    names = {name for name, p in layer.named_parameters() if any(p is one for one in layer.ssm_parameters())}
    assert names == {"heads.dt_bias", "heads.A_log", "heads.D"}


@pytest.mark.parametrize(("channels", "width"), [(1, 1), (2, 1), (6, 3), (14, 7), (768, 64), (67, 33)])
def test_heads_divide_any_number_of_channels(channels, width):
    layer = Mamba2(channels)
    assert 2 * channels % layer.head_dim == 0
    assert layer.head_dim <= max(1, min(64, channels // 2)) <= max(width, channels // 2)
    assert Mamba2(768).head_dim == 64  # as published


def test_a_long_stream_does_not_drift():
    """A rounded decay would be off by 3e-8 in each of the hundreds of steps that a state of dt 1e-3 remembers."""
    torch.manual_seed(0)
    layer = SSD(4, 4, dt_min=1e-3, dt_max=1e-3)
    with torch.no_grad():
        layer.select.weight[:1] = 0
        layer.heads.A_log.fill_(0)
    exact = SSD(4, 4).double()
    exact.load_state_dict(layer.state_dict())
    x = 1 + 0.1 * torch.randn(1, 2000, 4)
    state = layer.initial_state(1)
    with torch.no_grad():
        for sample in x.unbind(1):
            _, state = layer.step(sample, state)
        _, expected = exact(x.double())
    assert (state - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SSD(0), "SSD: d_model is 0, but a whole number of at least 1"),
        (lambda: SSD(4, 0), "SSD: d_state is 0"),
        (lambda: SSD(12, head_dim=5), r"SSD: head_dim is 5, .* choose one of 1, 2, 3, 4, 6, 12\."),
        (lambda: SSD(12, head_dim=3, n_groups=3), "SSD: n_groups is 3, .* 4 heads .* choose a divisor of 4"),
        (lambda: Mamba2(4, dt_min=1.0, dt_max=0.1), "Mamba2: dt_min is 1.0 and dt_max 0.1"),
        (lambda: Mamba2(4, dt_limit=(1.0, 0.1)), r"Mamba2: dt_limit is \(1.0, 0.1\)"),
        (lambda: Mamba2(4, width=0), "Mamba2: width is 0"),
        (lambda: Mamba2(4, head_dim=3), "Mamba2: head_dim is 3, .* 8 inner channels"),
        (lambda: Mamba2(4, norm="first"), "Mamba2: norm is 'first', .* after-gate, before-gate, none"),
        (lambda: Mamba2(4, norm_groups=3), "Mamba2: norm_groups is 3, .* divisor of 8"),
    ],
)
def test_what_is_refused(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()


def test_states_of_another_layer_or_batch_are_refused():
    layer, x = Mamba2(4, 3), torch.zeros(2, 5, 4)
    recent, other = layer.initial_state(2)[0], Mamba2(4, 8).initial_state(2)[1]
    with pytest.raises(ShapeError, match=re.escape("Mamba2.forward: state[1] is (2, 4, 2, 8)")):
        layer(x, (recent, other))
    with pytest.raises(ShapeError, match=re.escape("SSD.step: state is (3, 4, 1, 64)")):
        SSD(4).step(x[:, 0], SSD(4).initial_state(3))
