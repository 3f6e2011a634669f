"""Windows cut on tensors against a plain loop over lists, and what is trained on against what is validated on."""

import math
import time
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from statespace.training import Beside, WindowDataModule, WindowSource
from statespace.training.window_batches import VALIDATION_BATCH

VALUES = st.one_of(st.just(math.nan), st.floats(-9, 9, width=32))
SERIES = st.lists(st.lists(VALUES, min_size=1, max_size=20), min_size=1, max_size=5)


pytestmark = pytest.mark.usefixtures("one_thread")


def source(series: list[list[float]], input_size: int, h: int) -> tuple[WindowSource, Tensor]:
    lengths = torch.tensor([len(one) for one in series])
    return WindowSource(torch.tensor([value for one in series for value in one]), lengths, input_size, h), lengths


def slow_cut(one: list[float], origin: int, input_size: int, h: int) -> tuple[list[float], ...]:
    found: tuple[list[float], ...] = ([], [], [], [])
    for place in range(origin - input_size, origin + h):
        value = one[place] if 0 <= place < len(one) else math.nan
        side = 0 if place < origin else 2
        found[side].append(0.0 if math.isnan(value) else value)
        found[side + 1].append(0.0 if math.isnan(value) else 1.0)
    return found


@settings(deadline=None)
@given(SERIES, st.integers(1, 9), st.integers(0, 5))
def test_windows_are_what_a_loop_cuts(series: list[list[float]], input_size: int, h: int) -> None:
    flat, lengths = source(series, input_size, h)
    # every origin of every series, its end included, from where one forecasts
    number, origin = flat.origins(torch.zeros_like(lengths), lengths)
    assert number.tolist() == [i for i, one in enumerate(series) for _ in range(len(one) + 1)]
    batch = flat.cut(number, origin)
    parts = zip(*batch.past[:2], batch.y, batch.y_observed, strict=True)
    for window, i, at in zip(parts, number.tolist(), origin.tolist(), strict=True):
        start = sum(len(one) for one in series[:i])
        assert tuple(part.tolist() for part in window) == slow_cut(series[i], at - start, input_size, h)


@settings(deadline=None)
@given(SERIES, st.integers(1, 9), st.integers(1, 5), st.integers(0, 10**6))
def test_what_stands_beside_is_cut_like_the_values(
    series: list[list[float]], input_size: int, h: int, seed: int
) -> None:
    lengths, generator = torch.tensor([len(one) for one in series]), torch.Generator().manual_seed(seed)
    total = int(lengths.sum())
    hist, futr, weight = (torch.rand(total, k, generator=generator) for k in (2, 3, 1))
    hist[torch.rand(total, 2, generator=generator) < 0.3] = torch.nan
    dt, static = torch.rand(total, generator=generator), torch.rand(len(series), 2, generator=generator)
    values = torch.tensor([value for one in series for value in one])
    flat = WindowSource(values, lengths, input_size, h, Beside(hist, futr, static, None, dt, weight[:, 0]))
    number, origin = flat.origins(torch.zeros_like(lengths), lengths)
    batch = flat.cut(number, origin)
    starts = (lengths.cumsum(0) - lengths).tolist()
    for window, (i, at) in enumerate(zip(number.tolist(), origin.tolist(), strict=True)):
        assert torch.equal(batch.past.static[window], static[i])
        for place in range(input_size + h):
            row = at - input_size + place
            inside = starts[i] <= row < starts[i] + len(series[i])
            assert float(batch.past.dt[window, place]) == (float(dt[row]) if inside else 1.0)
            assert batch.past.futr[window, place].tolist() == (futr[row].tolist() if inside else [0.0] * 3)
            assert float(batch.past.futr_known[window, place]) == inside
            if place < input_size:
                want = hist[row] if inside else torch.full((2,), torch.nan)
                assert batch.past.hist[window, place].tolist() == want.nan_to_num(0.0).tolist()
                assert batch.past.hist_observed[window, place].tolist() == (~want.isnan()).float().tolist()
            else:
                counted = inside and not math.isnan(float(values[row]))
                assert float(batch.weight[window, place - input_size]) == (float(weight[row, 0]) if counted else 0.0)


@settings(deadline=None, max_examples=200)
@given(SERIES, st.integers(1, 9), st.integers(1, 5), st.integers(0, 9))
def test_no_target_is_both_trained_on_and_validated_on(
    series: list[list[float]], input_size: int, h: int, val_size: int
) -> None:
    flat, lengths = source(series, input_size, h)
    data = WindowDataModule(flat, lengths, val_size, 4, 0)
    trained, validated, before = (set[int]() for _ in range(3))
    starts = [0, *lengths.cumsum(0).tolist()]
    for targets, (number, origin) in ((trained, data.train), (validated, data.val)):
        for i, at in zip(number.tolist(), origin.tolist(), strict=True):
            assert starts[i] < at  # something stands before it
            assert at + h <= starts[i + 1]  # all targets lie inside
            targets |= set(range(at, at + h))
            batch = flat.cut(torch.tensor([i]), torch.tensor([at]))
            assert batch.past.observed.sum() > 0
            assert batch.y_observed.sum() > 0
            if targets is trained:
                before |= set(range(max(at - input_size, starts[i]), at))
    assert not trained & validated
    assert not before & validated  # nor seen as the history of a training window
    for i in set(data.val[0].tolist()):  # the tail of a series is validated on to its end
        assert all(at + h > starts[i + 1] - val_size for at in data.val[1][data.val[0] == i].tolist())


def test_the_tail_has_the_size_that_was_asked_for() -> None:
    flat, lengths = source([[1.0] * 50, [1.0] * 9], 10, 4)
    data = WindowDataModule(flat, lengths, 8, 4, 0)
    assert data.val[1].tolist() == [42, 43, 44, 45, 46]  # the short series keeps all it has for training
    assert (data.train[1][data.train[0] == 0] + 4).max() == 42
    assert (data.train[1][data.train[0] == 1] + 4).max() == 59


def test_what_was_observed_in_the_tail_alone_is_trained_on() -> None:
    flat, lengths = source([[math.nan] * 20 + [1.0] * 5], 10, 4)
    data = WindowDataModule(flat, lengths, 6, 4, 0)
    assert data.train[1].tolist() == [21]
    assert len(data.val[0]) == 0


def test_batches_are_random_endless_and_the_same_for_the_same_seed() -> None:
    flat, lengths = source([[float(i) for i in range(40)]], 6, 2)

    def draw(seed: int) -> Tensor:
        data = WindowDataModule(flat, lengths, 4, 8, seed)
        return torch.stack([batch.past.x for batch in islice(data.train_dataloader(), 30)])

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    data = WindowDataModule(flat, lengths, 4, 8, 0)
    drawn = torch.cat([batch.y[:, 0] for batch in islice(data.train_dataloader(), 100)])
    assert set(drawn.tolist()) == set((data.train[1]).float().tolist())  # each origin comes up


def test_validation_sees_every_window_once() -> None:
    flat, lengths = source([[float(i) for i in range(3000)]], 3, 2)
    data = WindowDataModule(flat, lengths, 2500, 8, 0)
    batches = list(data.val_dataloader())
    assert max(len(batch.y) for batch in batches) == VALIDATION_BATCH
    assert torch.cat([batch.y[:, 0] for batch in batches]).tolist() == [float(i) for i in range(500, 2999)]
    assert list(WindowDataModule(flat, lengths, 0, 8, 0).val_dataloader()) == []


def test_thousands_of_series_are_cut_without_a_loop_over_them() -> None:
    lengths = torch.randint(5, 60, (20_000,), generator=torch.Generator().manual_seed(0))
    flat = WindowSource(torch.randn(int(lengths.sum())), lengths, 24, 4)
    before = time.perf_counter()
    data = WindowDataModule(flat, lengths, 4, 256, 0)
    for _ in islice(data.train_dataloader(), 20):
        pass
    assert time.perf_counter() - before < 2  # a tenth of it on a quiet machine; a loop takes far more
