"""Stacks of several rates: windows and held values by hand, chunks, steps, ragged batches, times and gaps."""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from statespace.errors import InputError, ShapeError
from statespace.models import Backbone

BATCH, LENGTH, CHANNELS = 3, 23, 4
TOLERANCE = 1e-10  # float64: what the layers promise
STRIDES = [[1, 4, 1], [2, 4, 1], [1, 3, 3], [5, 5, 5]]

strides = pytest.mark.parametrize("stride", STRIDES, ids=str)
kinds = pytest.mark.parametrize("kind", ["plain", "times", "gaps"])


def make(stride, **options):
    torch.manual_seed(1)
    return Backbone(CHANNELS, layer=["s4d", "s6", "mamba"], d_state=4, stride=stride, **options).double().eval()


def draw(kind, batch=BATCH):
    torch.manual_seed(2)
    x = torch.randn(batch, LENGTH, CHANNELS, dtype=torch.float64)
    given = {} if kind == "plain" else {"dt": torch.rand(batch, LENGTH, dtype=torch.float64) + 0.5}
    if kind == "gaps":
        given["observed"] = (torch.rand(batch, LENGTH) < 0.6).double()
    return x, given


def at(given, when, row=slice(None)):
    return {name: value[row, when] for name, value in given.items()}


def tensors(states):
    return [part for state in states for part in (state if isinstance(state, tuple) else (state,))]


def close(ours, expected):
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCE)


def steps(model, x, states, given):
    outputs, new = [], []
    for t, sample in enumerate(x.unbind(1)):
        y, states = model.step(sample, states, **at(given, t))
        outputs.append(y)
        new.append(model.is_new(states))
    return torch.stack(outputs, 1), states, torch.stack(new, 1)


@pytest.mark.parametrize("pooling", ["causal", "whole"])
def test_is_the_formula_written_out(pooling):
    model = make([1, 4, 1], pooling=pooling)
    x, given = draw("times")
    first, middle, last = (block for block in model.blocks if hasattr(block, "layer"))
    h, _ = first(x, dt=given["dt"])
    count = LENGTH // 4 if pooling == "causal" else -(-LENGTH // 4)
    windows = [slice(4 * k, min(4 * k + 4, LENGTH)) for k in range(count)]
    slow = torch.stack([h[:, window].mean(1) for window in windows], 1)
    # The time of a window, in units of four samples.
    slow, _ = middle(slow, dt=torch.stack([given["dt"][:, window].sum(1) / 4 for window in windows], 1))
    held = torch.zeros_like(h)
    for t in range(LENGTH):
        k = (t + 1) // 4 - 1 if pooling == "causal" else t // 4
        if k >= 0:
            held[:, t] = slow[:, k]
    expected, _ = last(h + held, dt=given["dt"])
    close([model(x, **given)[0]], [F.layer_norm(expected, [CHANNELS])])


@strides
@kinds
def test_chunks_and_steps_are_the_whole(stride, kind):
    model = make(stride)
    x, given = draw(kind)
    y, states = model(x, **given)
    assert y.shape[1] == int(model.output_lengths(torch.tensor(LENGTH))) == LENGTH // model.stride
    pieces, carried = [], None
    for begin, end in pairwise([0, 1, 1, 7, 15, LENGTH]):
        piece, carried = model(x[:, begin:end], carried, **at(given, slice(begin, end)))
        pieces.append(piece)
    close([torch.cat(pieces, 1), *tensors(carried)], [y, *tensors(states)])
    stepped, final, new = steps(model, x, model.initial_state(BATCH), given)
    expected_new = (torch.arange(LENGTH) + 1) % model.stride == 0
    assert torch.equal(new, expected_new.expand(BATCH, -1))
    close([stepped[:, expected_new], *tensors(final)], [y, *tensors(states)])
    if model.stride > 1:  # in between, the newest output is held, and before the first there is zero
        newest = torch.cat([torch.zeros_like(y[:, :1]), y], 1)[:, (torch.arange(LENGTH) + 1) // model.stride]
        close([stepped], [newest])


@strides
@kinds
def test_ragged_batches_and_the_samples_after_them(stride, kind):
    """Each row is as if it were alone; its windows end where its own samples say, in the steps after too."""
    model = make(stride)
    x, given = draw(kind)
    lengths = torch.tensor([LENGTH, 0, 10])
    padding = torch.arange(LENGTH) >= lengths[:, None]
    filled = {name: value.masked_fill(padding, float("nan")) for name, value in given.items() if name == "dt"}
    ragged = x.masked_fill(padding[..., None], float("nan"))
    y, states = model(ragged, lengths=lengths, **{**given, **filled})
    after, more = draw(kind)
    following, final, new = steps(model, after[:, :7], states, at(more, slice(7)))
    for i, length in enumerate(lengths.tolist()):
        row = slice(i, i + 1)
        alone, state = model(x[row, :length], **at(given, slice(length), row))
        close([y[row, : alone.shape[1]]], [alone])
        assert (y[i, alone.shape[1] :] == 0).all()
        expected, last, fresh = steps(model, after[row, :7], state, at(more, slice(7), row))
        close([following[row], *(part[row] for part in tensors(final))], [expected, *tensors(last)])
        assert torch.equal(new[row], fresh)
    loss = y.square().sum() + sum(part.abs().square().sum() for part in tensors(states) if part.is_floating_point())
    for gradient in torch.autograd.grad(loss, list(model.parameters()), allow_unused=True):
        assert gradient is None or gradient.isfinite().all()


def test_another_rate_reaches_the_slower_blocks():
    model = make([1, 4, 1])
    x, _ = draw("plain")
    twos = torch.full((BATCH, LENGTH), 2.0, dtype=torch.float64)
    close([model(x, dt=twos)[0]], [model(x, dt_scale=2.0)[0]])
    assert not torch.allclose(model(x)[0], model(x, dt_scale=2.0)[0])


@pytest.mark.parametrize(
    ("stride", "words"),
    [
        ([1, 2, 3], "stride goes to 3 after 2"),
        ([4, 4, 2], "stride goes to 2 after 4"),
        ([0, 1, 1], "stride is 0, but a whole number of at least 1"),
        (1.5, r"stride is 1\.5, but a whole number of at least 1"),
    ],
)
def test_rates_that_do_not_fit(stride, words):
    with pytest.raises(InputError, match=words):
        make(stride)


def test_a_state_that_grows_cannot_wait_for_other_rows():
    model = Backbone(CHANNELS, 1, "transformer", stride=2)
    _, states = model(torch.zeros(2, 5, CHANNELS), lengths=torch.tensor([5, 4]))
    with pytest.raises(InputError, match=r"some sequences end a window and others do not.*sequences of one phase"):
        model.step(torch.zeros(2, CHANNELS), states)


def test_whole_windows_carry_nothing():
    model = make([1, 4, 1], pooling="whole").float()
    x = torch.zeros(BATCH, LENGTH, CHANNELS)
    _, states = model(x)
    with pytest.raises(InputError, match=r"Backbone.forward: pooling='whole' looks at windows that have not ended"):
        model(x, states)
    with pytest.raises(InputError, match=r"Backbone.step: pooling='whole'"):
        model.step(x[:, 0], states)
    with pytest.raises(InputError, match="pooling is 'max'"):
        make([1, 4, 1], pooling="max")


@pytest.mark.parametrize("stride", [[1, 4, 1], [4, 4, 1], [4, 4, 4]], ids=str)
def test_what_does_not_fit_is_refused_before_it_enters_a_window(stride):
    model = make(stride)
    x, sample, ones = torch.zeros(2, 5, CHANNELS).double(), torch.zeros(2, CHANNELS).double(), torch.ones(2).double()
    states, long = model.initial_state(2), torch.ones(2, 5).double()
    for value in (float("nan"), float("inf"), 0.0, -5.0):
        wrong = torch.tensor([1.0, value]).double()
        with pytest.raises(InputError, match=rf"Backbone.step: dt has {value} among its values"):
            model.step(sample, states, wrong)
    for call in (lambda **given: model(x, **given), lambda **given: model.step(sample, states, **given)):
        with pytest.raises(InputError, match=r"Backbone.*: dt_scale is -1.0, but a positive number"):
            call(dt_scale=-1.0)
        with pytest.raises(ShapeError, match=r"Backbone.*: observed is \(3,\), but \(b.*One mark a sample"):
            call(observed=torch.ones(3))
    for wrong in (sample[:, :3], x, sample[0]):
        with pytest.raises(ShapeError, match=r"Backbone.step: x is .* but \(b, d\) with d = 4 .* one sample"):
            model.step(wrong, states)
    with pytest.raises(InputError, match=r"Backbone.step: x is torch.int64, but a real floating type"):
        model.step(sample.long(), states)
    wide = Backbone(CHANNELS + 1, layer=["s4d", "s6", "mamba"], d_state=4, stride=stride).double().initial_state(2)
    for state in (model.initial_state(3), wide):
        for call in (lambda given: model(x, given), lambda given: model.step(sample, given)):
            with pytest.raises(ShapeError, match=r"state(\[0\])? is \([23], .*A state belongs to one layer"):
                call(state)
    model.step(sample, model(x, None, None, long, observed=long)[1], ones, 2.0, ones)  # what fits goes in


def test_a_bad_time_does_not_stop_a_stream():
    model = Backbone(CHANNELS, layer=["s4d", "s4d"], d_state=4, stride=[4, 4]).eval()
    live, undisturbed, x = model.stream(1), model.stream(1), torch.randn(9, 1, CHANNELS)
    for sample in x:
        with pytest.raises(InputError, match="dt has nan among its values"):
            live.push(sample, torch.tensor([float("nan")]))
        assert torch.equal(live.push(sample, torch.ones(1)), undisturbed.push(sample, torch.ones(1)))
