"""Tasks over tokens, each solved by a rule that is written down here in another way than the task is."""

import numpy as np
import pytest

from statespace.datasets.tasks import AssociativeRecall, Copying, InductionHeads, ListOps, SelectiveCopying
from statespace.datasets.tasks.listops import TOKENS


@pytest.mark.parametrize("task", [Copying(40, 5, 7), SelectiveCopying(40, 5, 7)])
def test_the_answer_is_what_is_neither_noise_nor_mark(task: Copying) -> None:
    batch = task.batch(200)
    assert batch.mask is not None
    for x, y, mask in zip(batch.x, batch.y, batch.mask, strict=True):
        assert x.shape == (45,)
        assert (x[40:] == 6).all()
        assert mask.nonzero()[0].tolist() == list(range(40, 45))
        assert x[(x > 0) & (x < 6)].tolist() == y[mask].tolist()


def test_tokens_are_even_and_their_places_are_too() -> None:
    # Counts are binomial: five standard deviations from the mean would come once in two million.
    batch = SelectiveCopying(32, 4, 6).batch(20_000)
    places = (batch.x[:, :32] > 0).sum(0)
    assert np.abs(places - 20_000 * 4 / 32).max() < 5 * np.sqrt(20_000 * 4 / 32)
    tokens = np.bincount(batch.y[:, 32:].ravel(), minlength=6)
    assert tokens[0] == tokens[5] == 0
    assert np.abs(tokens[1:5] - 20_000).max() < 5 * np.sqrt(20_000)


def test_copied_tokens_stand_in_front() -> None:
    batch = Copying(40, 5, 7).batch(10)
    assert (batch.x[:, :5] > 0).all()
    assert (batch.x[:, 5:40] == 0).all()


@pytest.mark.parametrize("length", [3, 4, 50])
def test_induction_asks_for_what_followed(length: int) -> None:
    batch = InductionHeads(length, 9).batch(3000)
    assert batch.mask is not None
    assert (batch.mask == (np.arange(length) == length - 1)).all()
    seen = set()
    for x, y in zip(batch.x, batch.y, strict=True):
        text = x.tolist()
        assert text.count(8) == 2
        assert text[-1] == 8
        place = text.index(8)
        assert y[-1] == text[place + 1] != 8
        seen.add(place)
    assert seen == set(range(length - 2))  # wherever an answer fits


def test_recall_asks_for_each_key_once() -> None:
    task = AssociativeRecall(60, 6, 41)
    batch = task.batch(500)
    assert batch.mask is not None
    for x, y, mask in zip(batch.x, batch.y, batch.mask, strict=True):
        pairs = dict(zip(x[0:12:2].tolist(), x[1:12:2].tolist(), strict=True))
        assert len(pairs) == 6
        assert 1 <= min(pairs) <= max(pairs) <= 20 < min(pairs.values())
        assert not mask[:12].any()
        asked = x[mask].tolist()
        assert sorted(asked) == sorted(pairs)
        assert [pairs[key] for key in asked] == y[mask].tolist()
        assert (x[12:][~mask[12:]] == 0).all()


def test_distances_of_recall_follow_their_power_law() -> None:
    # With one pair the place is a single draw: its frequencies are the weights themselves, within five deviations.
    batch = AssociativeRecall(12, 1, 5, power=0.3).batch(50_000)
    assert batch.mask is not None
    counts = batch.mask[:, 2:].sum(0)
    weights = np.arange(1, 11) ** -0.7
    expected = 50_000 * weights / weights.sum()
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def evaluate(text: str) -> int:
    """A stack machine: what is left on the stack is the value."""
    stack: list[list[str]] = [[]]
    for token in text.split(" "):
        if token.startswith("["):
            stack.append([token])
        elif token == "]":
            name, *digits = stack.pop()
            values = sorted(map(int, digits))
            middle = len(values) // 2
            median = values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) // 2
            result = {"[MIN": values[0], "[MAX": values[-1], "[MED": median, "[SM": sum(values) % 10}[name]
            stack[-1].append(str(result))
        else:
            stack[-1].append(token)
    assert len(stack) == 1
    (value,) = stack[0]
    return int(value)


def test_lists_have_the_value_that_a_stack_machine_finds() -> None:
    assert evaluate("[MAX 4 3 [MIN 2 3 ] 1 0 [MED 1 5 8 9 2 ] ]") == 5  # the published example
    task = ListOps(90, 20, depth=4, arguments=6)
    batch = task.batch(300)
    assert batch.lengths is not None
    assert batch.mask is None
    deepest = 0
    for x, y, length in zip(batch.x, batch.y, batch.lengths, strict=True):
        assert (x[length:] == 0).all()
        assert (x[:length] > 0).all()
        written = [TOKENS[token] for token in x[:length]]
        assert evaluate(" ".join(written)) == y
        depth = np.cumsum([token.startswith("[") - (token == "]") for token in written])
        deepest = max(deepest, int(depth.max()))
    assert deepest == 4
    assert 20 - 3 <= batch.lengths.min()
    assert batch.lengths.max() > 80


def test_one_list_of_two_digits_is_the_shortest() -> None:
    batch = ListOps(4, 4).batch(20)
    assert batch.lengths is not None
    assert (batch.lengths == 4).all()
