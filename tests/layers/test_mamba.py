"""S6 and the Mamba block: the contract of every layer, and the recurrence of the paper written out."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from statespace.errors import InputError, ShapeError
from statespace.kernels.selective_scan import METHODS
from statespace.layers import S6, Mamba
from statespace.models import Backbone

BATCH, LENGTH, CHANNELS, STATES = 3, 41, 5, 4
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}  # of the largest number: the same sums in other orders

layers = pytest.mark.parametrize("kind", [S6, Mamba], ids=lambda kind: kind.__name__)
methods = pytest.mark.parametrize("method", METHODS)
types = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


def make(kind, dtype, method="euler-b"):
    torch.manual_seed(1)
    return kind(CHANNELS, STATES, discretization=method).to(dtype)


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def rows(state, chosen):
    return tuple(part[chosen] for part in state) if isinstance(state, tuple) else state[chosen]


def random_state(layer, batch):
    drawn = tuple(torch.randn_like(part) for part in parts(layer.initial_state(batch)))
    return drawn if len(drawn) > 1 else drawn[0]


def steps(layer, x, state, dt_scale=1.0):
    outputs = []
    for sample in x.unbind(1):
        y, state = layer.step(sample, state, dt_scale)
        outputs.append(y)
    return torch.stack(outputs, 1), state


def chunks(layer, x, state, dt_scale=1.0):
    outputs = []
    for begin, end in pairwise([0, 1, 1, 7, 30, LENGTH]):
        y, state = layer(x[:, begin:end], state, dt_scale=dt_scale)
        outputs.append(y)
    return torch.cat(outputs, 1), state


def close(found, expected, tolerance):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.isfinite().all()
        assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


@layers
@methods
@types
@pytest.mark.parametrize("way", [steps, chunks])
@pytest.mark.parametrize("dt_scale", [1.0, 2.5])
def test_every_view_is_one_system(kind, method, dtype, way, dt_scale):
    layer = make(kind, dtype, method)
    x = torch.randn(BATCH, LENGTH, CHANNELS, dtype=dtype)
    weights = torch.randn_like(x)

    def result(run):
        torch.manual_seed(2)
        given, start = x.clone().requires_grad_(), random_state(layer, BATCH)
        leaves = [given, *(part.requires_grad_() for part in parts(start)), *layer.parameters()]
        y, final = run(layer, given, start, dt_scale=dt_scale)
        loss = (weights * y).sum() + sum(part.square().sum() for part in parts(final))
        return [y.detach(), *(part.detach() for part in parts(final)), *torch.autograd.grad(loss, leaves)]

    close(result(way), result(lambda layer, *values, **more: layer(*values, **more)), TOLERANCE[dtype])


@layers
@types
def test_steps_without_gradients_are_the_same_steps(kind, dtype):
    layer = make(kind, dtype)
    x, start = torch.randn(BATCH, LENGTH, CHANNELS, dtype=dtype), random_state(layer, BATCH)
    expected, final = layer(x, start)
    before = [part.clone() for part in parts(start)]
    with torch.no_grad():
        found, last = steps(layer, x, start)
    close([found, *parts(last)], [expected, *parts(final)], TOLERANCE[dtype])
    assert all(torch.equal(part, old) for part, old in zip(parts(start), before, strict=True))


@layers
def test_ragged_batches_whatever_stands_in_the_padding(kind):
    layer = make(kind, torch.float64)
    lengths = torch.tensor([0, 17, LENGTH])
    x, start = torch.randn(BATCH, LENGTH, CHANNELS, dtype=torch.float64), random_state(layer, BATCH)
    x[torch.arange(LENGTH) >= lengths[:, None]] = float("nan")
    y, final = layer(x.requires_grad_(), start, lengths)
    for i, length in enumerate(lengths):
        alone, last = layer(x[i : i + 1, :length], rows(start, slice(i, i + 1)))
        torch.testing.assert_close(y[i : i + 1, :length], alone, rtol=0, atol=1e-12)
        assert (y[i, length:] == 0).all()
        for ours, theirs in zip(parts(rows(final, slice(i, i + 1))), parts(last), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.isfinite().all()


def test_the_block_is_that_of_the_paper():
    layer = make(Mamba, torch.float64)
    x = torch.randn(2, LENGTH, CHANNELS, dtype=torch.float64)
    u, gate = layer.into(x).chunk(2, -1)
    padded = F.pad(u.mT, (layer.conv_weight.shape[1] - 1, 0))
    u = F.silu(F.conv1d(padded, layer.conv_weight[:, None], layer.conv_bias, groups=u.shape[-1])).mT
    low, B, C = layer.ssm.select(u).split([layer.ssm.dt_rank, STATES, STATES], -1)
    dt = F.softplus(low @ layer.ssm.dt_weight.mT + layer.ssm.dt_bias)
    h, outputs = torch.zeros(2, u.shape[-1], STATES, dtype=torch.float64), []
    for t in range(LENGTH):
        a = torch.exp(-dt[:, t, :, None] * torch.exp(layer.ssm.A_log))
        h = a * h + (dt[:, t] * u[:, t])[..., None] * B[:, t, None]
        outputs.append((h * C[:, t, None]).sum(-1) + layer.ssm.D * u[:, t])
    expected = layer.out(torch.stack(outputs, 1) * F.silu(gate))
    torch.testing.assert_close(layer(x)[0], expected, rtol=0, atol=1e-12)


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
        (lambda: Mamba(4)(torch.zeros(2, 3, 4, dtype=torch.int64)), "x is torch.int64"),
        (lambda: Mamba(4)(torch.zeros(2, 3, 4), lengths=torch.tensor([1, 4])), "lengths go from 1 to 4"),
        (lambda: Mamba(4)(torch.zeros(2, 3, 4), dt_scale=0.0), "dt_scale is 0"),
    ],
)
def test_what_is_refused(make_it, sentence):
    with pytest.raises(InputError, match=sentence):
        make_it()


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match="transposed"):
        Mamba(4)(torch.zeros(2, 4, 9))
    with pytest.raises(ShapeError, match="state"):
        Mamba(4)(torch.zeros(2, 3, 4), Mamba(4).initial_state(3))
    with pytest.raises(ShapeError, match="A step takes one sample"):
        Mamba(4).step(torch.zeros(2, 3, 4), Mamba(4).initial_state(2))


def test_unmixed_blocks_carry_any_state():
    backbone = Backbone(6, 2, mixing="none").double()
    x = torch.randn(2, 9, 6, dtype=torch.float64)
    y, states = backbone(x)
    assert len(states) == 2
    found, _ = steps(backbone, x, backbone.initial_state(2))
    torch.testing.assert_close(found, y, rtol=0, atol=1e-10)
