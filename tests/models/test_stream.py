"""Live streams: they put out what the model says of the whole signal, however it arrives and wherever they run."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.kernels import native as core
from statespace.kernels.stack_step import StackStep
from statespace.layers import Capabilities, Mamba, ResidualBlock
from statespace.models import Backbone, stream
from statespace.models.program import flatten

CHANNELS, LENGTH = 5, 90
MODELS = [
    ("s4d", "glu"),
    ("s4d", "gated"),
    ("mamba", "none"),
    ("s6", "glu"),
    ("s4d", "none"),
    ("ssd", "gated"),
    ("mamba2", "none"),
]
WAYS = [
    pytest.param(way, marks=pytest.mark.skipif(way == "native" and bool(core.why_missing()), reason="no compiled core"))
    for way in stream.WAYS
]
ways = pytest.mark.parametrize("way", WAYS)
models = pytest.mark.parametrize(("layer", "mixing"), MODELS)
# Of outputs of size 1: the tolerance of the layers' contract.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def make(
    layer: str = "mamba", mixing: str = "none", dtype: torch.dtype = torch.float64, channels: int = CHANNELS
) -> Backbone:
    torch.manual_seed(4)
    return Backbone(channels, 2, layer, 6, mixing, dropout=0.3).to(dtype).eval()


def offline(model: Backbone, x: Tensor, **options: object) -> Tensor:
    with torch.no_grad():
        return model(x, **options)[0]


@ways
@models
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_samples_and_chunks_are_the_whole_signal(way: str, layer: str, mixing: str, dtype: torch.dtype) -> None:
    model, x = make(layer, mixing, dtype), torch.randn(3, LENGTH, CHANNELS, dtype=dtype)
    live = model.train().stream(3, backend=way)  # in evaluation mode all the same
    assert live.backend == way
    ys = [live.push(x[:, 0])[:, None], live.push(x[:, 1:1]), live.push(x[:, 1:12]), live.push(x[:, 12])[:, None]]
    ys += [live.push(x[:, 13:])]  # long enough for the parallel form
    y = torch.cat(ys, 1)
    assert not y.requires_grad
    torch.testing.assert_close(y, offline(model.eval(), x), rtol=0, atol=TOLERANCE[dtype])


@ways
@models
def test_another_rate_and_stamps(way: str, layer: str, mixing: str) -> None:
    model, x = make(layer, mixing), torch.randn(2, 12, CHANNELS, dtype=torch.float64)
    live = model.stream(2, dt_scale=1.7, backend=way)
    y = torch.stack([live.push(sample) for sample in x.unbind(1)], 1)
    torch.testing.assert_close(y, offline(model, x, dt_scale=1.7), rtol=0, atol=1e-10)
    dt = torch.rand(2, 12, dtype=torch.float64) + 0.2
    live = model.stream(2, backend=way)
    ys = [
        live.push(x[:, 0], dt[:, 0])[:, None],
        live.push(x[:, 1:6], dt[:, 1:6]),
        live.push(x[:, 6], dt[:, 6])[:, None],
    ]
    torch.testing.assert_close(torch.cat(ys, 1), offline(model, x[:, :7], dt=dt[:, :7]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("way", [WAYS[0], "buffered"])
@pytest.mark.parametrize("layer", ["s4d", "mamba", "mamba2"])
def test_long_runs_do_not_drift(layer: str, way: str) -> None:
    """10^5 samples, fewer in torch, one call each: against float64, and against the parallel form in float32."""
    model = make(layer, "glu" if layer == "s4d" else "none", torch.float32, channels=4)
    samples = 10**5 if way == "native" else 10**4
    x = torch.randn(1, samples, 4)
    live = model.stream(backend=way)
    y = torch.cat([live.push(sample) for sample in x[0, :, None].unbind(0)])
    exact = offline(deepcopy(model).double(), x.double())[0]
    # The last norm brings outputs to size 1, whatever the blocks give: some roundings are stretched by it.
    for part in (slice(0, 1000), slice(samples - 1000, None)):
        assert float((y[part] - exact[part]).square().mean().sqrt()) < 1e-6
    torch.testing.assert_close(y[-1000:], offline(model, x)[0, -1000:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("layer", ["s4d", "mamba", "mamba2"])
def test_a_million_samples_in_float32_are_those_in_float64(layer: str) -> None:
    if reason := core.why_missing():
        pytest.skip(f"native: {reason}")
    model = make(layer, "none", torch.float32, channels=4)
    x = torch.randn(1, 10**6, 4)
    runs = [StackStep(of.program(), 1, "native") for of in (model, deepcopy(model).double())]
    y, exact = runs[0](x)[:, -1000:], runs[1](x.double())[:, -1000:]
    assert float((y - exact).square().mean().sqrt()) < 1e-6
    for state, true in zip(runs[0].states, runs[1].states, strict=True):
        assert float((state - true).abs().max()) < 1e-5 * float(true.abs().max())


@ways
def test_many_streams_are_each_alone_and_some_start_again(way: str) -> None:
    model, x = make("s4d", "glu"), torch.randn(4, 8, CHANNELS, dtype=torch.float64)
    live = model.stream(4, backend=way)
    live.push(x)
    live.reset([2])
    live.reset(torch.tensor([True, False, False, False]))
    y = live.push(x)
    expected = offline(model, torch.cat([x, x], 1))[:, 8:]
    expected[[0, 2]] = offline(model, x[[0, 2]])
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-10)
    live.reset()
    torch.testing.assert_close(live.push(x), offline(model, x), rtol=0, atol=1e-10)


def test_a_live_stream_moves_to_another_process(tmp_path: Path) -> None:
    model, x = make(dtype=torch.float32), torch.randn(2, 40, CHANNELS)
    live = model.stream(2)
    live.push(x[:, :25])
    torch.save({"model": model.state_dict(), "stream": live.state_dict(), "rest": x[:, 25:]}, tmp_path / "moved.pt")
    script = f"""
import torch
from statespace.models import Backbone
moved = torch.load("moved.pt", weights_only=True)
model = Backbone({CHANNELS}, 2, "mamba", 6, "none")
model.load_state_dict(moved["model"])
live = model.stream(2)
live.load_state_dict(moved["stream"])
torch.save(live.push(moved["rest"]), "y.pt")
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert torch.equal(torch.load(tmp_path / "y.pt", weights_only=True), live.push(x[:, 25:]))


@pytest.mark.parametrize("other", WAYS)
@ways
def test_a_stream_moves_from_any_backend_to_any_other(way: str, other: str) -> None:
    model, x = make("s4d", "glu"), torch.randn(2, 20, CHANNELS, dtype=torch.float64)
    first, second = model.stream(2, backend=way), model.stream(2, backend=other)
    first.push(x[:, :9])
    second.load_state_dict(first.state_dict())
    first.push(x[:, :1])  # what was copied stays
    torch.testing.assert_close(second.push(x[:, 9:]), offline(model, x)[:, 9:], rtol=0, atol=1e-10)


@ways
def test_a_stream_is_a_snapshot(way: str) -> None:
    model, x = make("s4d", "glu"), torch.randn(1, 30, CHANNELS, dtype=torch.float64)
    live, before = model.stream(backend=way), offline(model, x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    torch.testing.assert_close(live.push(x[:, :10]), before[:, :10], rtol=0, atol=1e-10)
    _, state = deepcopy(model)(x[:, :0])
    live.reset()
    live.refresh()
    torch.testing.assert_close(live.push(x), offline(model, x), rtol=0, atol=1e-10)
    assert all(torch.equal(part, torch.zeros_like(part)) for part in flatten(state))


def test_it_says_which_way_it_takes_and_why() -> None:
    model = make()
    if not core.why_missing():
        assert (model.stream().backend, model.stream().why) == ("native", "")
    other = make()

    class Strange(Mamba):
        pass

    other.blocks[1] = ResidualBlock(Strange(CHANNELS, 6), "none")
    live = other.double().stream()
    live.reset([])
    assert live.backend == "layers"
    assert live.why == "there is no compiled form of a block with Strange."
    with pytest.raises(InputError, match=r"backend 'native' cannot run this model: there is no compiled.*'layers'"):
        other.stream(backend="native")
    assert "bfloat16" in make(dtype=torch.bfloat16).stream().why


def test_what_it_refuses() -> None:
    class Ahead(Mamba):
        capabilities = Capabilities(steps=False)

    model = make()
    model.blocks[1] = ResidualBlock(Ahead(CHANNELS, 6), "none")
    with pytest.raises(InputError, match=r"Ahead takes no single steps, since it looks ahead: run whole signals by"):
        model.stream()
    model = make()
    for batch in (0, "a", 1.5, True):
        with pytest.raises(InputError, match=rf"batch is {batch!r}, but a number of streams from 1 on is expected"):
            model.stream(batch)  # type: ignore[arg-type]
    for rate in (-1, 0.0, float("nan"), "a", None):
        with pytest.raises(InputError, match=rf"dt_scale is {rate!r}, but a positive number"):
            model.stream(dt_scale=rate)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"backend is 'fast', which is not known: choose one of auto, native"):
        model.stream(backend="fast")
    for way in ("auto", "layers"):
        live = model.stream(2, backend=way)
        with pytest.raises(ShapeError, match=r"\(3, 5\), but .* is expected"):
            live.push(torch.zeros(3, CHANNELS, dtype=torch.float64))
        for wrong in ([2], [-1], [0.5], [[0]], [True]):
            with pytest.raises(InputError, match=r"indices is .*, but numbers of streams from 0 to 1 are expected"):
                live.reset(wrong)
        state = live.state_dict()
        for change, words in (
            ({"batch": 3}, "state is of a batch of 3, but this stream is of a batch of 2"),
            ({"layers": ["S4D"]}, r"state is of layers \['S4D'\], but this stream is of layers \['Mamba', 'S6'"),
            ({"dt_scale": 2.0}, "state is of a dt_scale of 2.0, but"),
        ):
            with pytest.raises(InputError, match=words):
                live.load_state_dict(state | change)
        with pytest.raises(InputError, match=r"state is no state of a stream: pass what Stream.state_dict returned"):
            live.load_state_dict(model.state_dict())
        with pytest.raises(ShapeError, match=r"state holds .* \(2, 3, 2\), but .* \(2, 3, 10\) is expected"):
            live.load_state_dict(state | {"states": [part[..., :2] for part in state["states"]]})


@pytest.mark.parametrize("way", ["auto", "layers"])
def test_what_is_of_another_type_is_refused_at_any_length(way: str) -> None:
    live = make("s4d", "glu", torch.float32).stream(2, backend=way)
    for length in (1, stream.LONG, stream.LONG + 1, 3 * stream.LONG):
        x = torch.zeros(2, length, CHANNELS)
        with pytest.raises(InputError, match=r"is torch.float64, but .* torch.float32: pass \w+.to\(torch.float32\)"):
            live.push(x.double())
        for given in (x.numpy(), x.tolist()):
            with pytest.raises(InputError, match=r"samples is a \w+, but a tensor is expected: pass torch.as_tensor"):
                live.push(given)  # type: ignore[arg-type]
        live.push(x)


@pytest.mark.parametrize("way", ["auto", "layers"])
def test_a_sample_that_is_not_finite_is_refused_and_leaves_the_streams_where_they_are(way: str) -> None:
    live, whole = make().stream(2, backend=way), torch.randn(2, 9, CHANNELS, dtype=torch.float64)
    live.push(torch.full((2, CHANNELS), 1e308, dtype=torch.float64))  # finite, though its sum is not
    live.reset()
    first = live.push(whole[:, :4])
    for value in (torch.nan, torch.inf):
        wrong = whole[:, 4:].clone()
        wrong[1, 2, 0] = value
        for samples in (wrong, wrong[:, 2]):
            with pytest.raises(InputError, match=f"samples holds {value} in stream 1, which its state would keep"):
                live.push(samples)
    again = make().stream(2, backend=way)
    assert torch.equal(
        torch.cat([first, live.push(whole[:, 4:])], 1),
        torch.cat([again.push(whole[:, :4]), again.push(whole[:, 4:])], 1),
    )


@pytest.mark.parametrize("layer", ["lssl", "s4", "s4d"])
def test_what_a_layer_keeps_for_one_rate_is_of_that_rate_and_of_the_parameters_as_they_are(layer: str) -> None:
    model, x = make(layer, "glu"), torch.randn(1, 6, CHANNELS, dtype=torch.float64)
    live = model.stream(dt_scale=1.7, backend="layers")
    first = torch.stack([live.push(sample) for sample in x[:, :3].unbind(1)], 1)
    torch.testing.assert_close(first, offline(model, x[:, :3], dt_scale=1.7), rtol=0, atol=1e-10)
    with torch.no_grad():
        for block in model.blocks:
            block.layer.log_dt += 0.5
    live.refresh()
    live.reset()
    after = torch.cat([live.push(x[:, 0])[:, None], live.push(x[:, 1:])], 1)
    torch.testing.assert_close(after, offline(model, x, dt_scale=1.7), rtol=0, atol=1e-10)
    once = deepcopy(model.blocks[0].layer)
    with torch.no_grad():
        once.fix(1.0)
        once.log_dt += 0.5
        once.fix(1.0)  # not what it kept before
        fresh = deepcopy(model.blocks[0].layer)
        fresh.log_dt += 0.5
        torch.testing.assert_close(once(x)[0], fresh(x)[0], rtol=0, atol=1e-10)
    stamped = model.stream(backend="layers")
    dt = torch.tensor([[1.0, 0.3, 2.0, 1.0, 1.5, 0.7]], dtype=torch.float64)
    y = torch.stack([stamped.push(sample, time) for sample, time in zip(x.unbind(1), dt.unbind(1), strict=True)], 1)
    torch.testing.assert_close(y, offline(model, x, dt=dt), rtol=0, atol=1e-10)
