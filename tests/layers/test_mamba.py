"""S6 and the Mamba block: the recurrence of the paper written out, and what they refuse."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from statespace.errors import InputError
from statespace.layers import S6, Mamba

LENGTH, CHANNELS, STATES = 41, 5, 4


PUBLISHED = {"bias": True, "conv_bias": False, "dt_rank": 3, "width": 3, "expand": 3}


def steps(layer, x):
    state, outputs = layer.initial_state(len(x)), []
    for sample in x.unbind(1):
        y, state = layer.step(sample, state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


@pytest.mark.parametrize("options", [{}, PUBLISHED], ids=["plain", "options"])
@pytest.mark.parametrize("unequal", [False, True])
def test_the_block_is_that_of_the_paper(unequal, options):
    layer = Mamba(CHANNELS, STATES, **options).double()
    x = torch.randn(2, LENGTH, CHANNELS, dtype=torch.float64)
    times = torch.rand(2, LENGTH, dtype=torch.float64) + 0.5 if unequal else None
    u, gate = layer.into(x).chunk(2, -1)
    padded = F.pad(u.mT, (layer.conv_weight.shape[1] - 1, 0))
    u = F.silu(F.conv1d(padded, layer.conv_weight[:, None], layer.conv_bias, groups=u.shape[-1])).mT
    low, B, C = layer.ssm.select(u).split([layer.ssm.dt_rank, STATES, STATES], -1)
    dt = F.softplus(low @ layer.ssm.dt_weight.mT + layer.ssm.dt_bias)
    dt = dt if times is None else dt * times[..., None]
    h, outputs = torch.zeros(2, u.shape[-1], STATES, dtype=torch.float64), []
    for t in range(LENGTH):
        a = torch.exp(-dt[:, t, :, None] * torch.exp(layer.ssm.A_log))
        h = a * h + (dt[:, t] * u[:, t])[..., None] * B[:, t, None]
        outputs.append((h * C[:, t, None]).sum(-1) + layer.ssm.D * u[:, t])
    expected = layer.out(torch.stack(outputs, 1) * F.silu(gate))
    torch.testing.assert_close(layer(x, dt=times)[0], expected, rtol=0, atol=1e-12)


def test_options_of_published_blocks():
    layer = Mamba(CHANNELS, STATES, **PUBLISHED).double()
    assert layer.ssm.select.weight.shape == (2 * STATES + 3, 3 * CHANNELS)
    assert (layer.conv_bias, layer.into.bias.shape, layer.out.bias.shape) == (None, (6 * CHANNELS,), (CHANNELS,))
    x = torch.randn(2, LENGTH, CHANNELS, dtype=torch.float64)
    y, final = layer(x)
    with torch.no_grad():
        found, last = steps(layer, x)
    torch.testing.assert_close(found, y, rtol=0, atol=1e-12)
    torch.testing.assert_close(last, final, rtol=0, atol=1e-12)
    ragged, _ = layer(x, lengths=torch.tensor([5, LENGTH]))
    assert (ragged[0, 5:] == 0).all()  # the bias does not reach the padding
    torch.testing.assert_close(ragged[0, :5], y[0, :5], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_keeps_its_state_in_float32(dtype):
    layer, x = Mamba(CHANNELS, STATES), torch.randn(2, LENGTH, CHANNELS).to(dtype)
    exact, _ = layer(x.float())
    with torch.no_grad():
        y, (_, state) = layer.to(dtype)(x)
        found, (_, after) = steps(layer, x)
    assert state.dtype == after.dtype == torch.float32
    assert y.dtype == dtype
    # weights and inner signals are rounded: a few units of the last place of the largest output
    bound = 8 * torch.finfo(dtype).eps * exact.abs().max()
    assert (y - exact).abs().max() < bound
    assert (found - exact).abs().max() < bound


def test_steps_start_where_they_should():
    layer = S6(1000, 4, dt_min=1e-3, dt_max=1e-1)
    dt = F.softplus(layer.dt_bias)
    assert 1e-3 * 0.999 <= dt.min() < 2e-3
    assert 5e-2 < dt.max() <= 1e-1 * 1.001
    torch.testing.assert_close(torch.exp(layer.A_log[7]), torch.arange(1.0, 5.0))


def test_a_stack_learns():
    torch.manual_seed(0)
    blocks = nn.ModuleList(Mamba(8, 4) for _ in range(2))
    x, target = torch.randn(2, 4, 30, 8)
    optimizer = torch.optim.Adam(blocks.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        y = x
        for block in blocks:
            y = y + block(y)[0]
        loss = F.mse_loss(y, target.cumsum(1) / 5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("make_it", "sentence"),
    [
        (lambda: S6(0), "d_model is 0"),
        (lambda: S6(4, dt_min=1.0, dt_max=0.1), "dt_min is 1.0"),
        (lambda: S6(4, discretization="foh"), "discretization is 'foh'"),
        (lambda: Mamba(4, width=0), "width is 0"),
        (lambda: Mamba(4, dt_rank=0), "dt_rank is 0"),
    ],
)
def test_what_is_refused(make_it, sentence):
    with pytest.raises(InputError, match=sentence):
        make_it()
