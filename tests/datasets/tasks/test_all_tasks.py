"""What every task keeps: shapes and ranges as it says, and the same batch for the same seed, split and index."""

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from statespace.datasets.tasks import SPLITS, TASKS, Batch, Task
from statespace.errors import InputError

FILES = {"published-mnist1d": "mnist1d", "sequential-mnist": "mnist", "permuted-mnist": "mnist"}


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    name = request.param
    if name in FILES:
        return TASKS[name](folder=str(request.getfixturevalue("real_data") / FILES[name]))  # type: ignore[call-arg]
    return TASKS[name]()


def same(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True) if a is not None)


def test_a_batch_is_what_the_task_says(task: Task) -> None:
    batch = task.batch(5)
    if task.tokens:
        assert batch.x.dtype == np.int64
        assert 0 <= batch.x.min() <= batch.x.max() < task.inputs
    else:
        assert batch.x.dtype == np.float32
        assert batch.x.shape[2] == task.inputs
    length = batch.x.shape[1]
    assert task.per_sequence == (batch.mask is None)
    expected = (5, length) if batch.mask is not None else (5,)
    if batch.mask is not None:
        assert batch.mask.shape == (5, length)
        assert batch.mask.any(1).all()
    if task.classes:
        assert batch.y.dtype == np.int64
        assert batch.y.shape == expected
        assert 0 <= batch.y.min() <= batch.y.max() < task.outputs
    else:
        assert batch.y.dtype == np.float32
        assert batch.y.shape == (*expected, task.outputs)
        assert np.isfinite(batch.y).all()


def test_seed_and_index_decide_and_nothing_else(task: Task) -> None:
    later = task.batch(4, index=7, seed=3)
    for index in range(3):  # whatever was drawn before
        task.batch(4, index)
    np.random.default_rng(0).random(10)
    assert same(task.batch(4, index=7, seed=3), later)
    assert not same(task.batch(4, index=8, seed=3), later)
    assert not same(task.batch(4, index=7, seed=4), later)
    made = [task.batch(4, index=0, split=split).x for split in SPLITS]
    assert not any(np.array_equal(made[i], made[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_another_process_draws_the_same() -> None:
    script = (
        "import sys, zlib; from statespace.datasets.tasks import TASKS;"
        "x = TASKS['selective-copying']().batch(4, 7, 3).x; print(zlib.crc32(x.tobytes()), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    x = TASKS["selective-copying"]().batch(4, 7, 3).x
    assert done.stdout.split() == [str(zlib.crc32(x.tobytes())), "False"]


def test_only_stored_tasks_end(task: Task) -> None:
    name = next(name for name, kind in TASKS.items() if type(task) is kind)
    sizes = {"published-mnist1d": (400, 1000), "sequential-mnist": (5000, 10000), "permuted-mnist": (5000, 10000)}
    assert task.batches(64) is None
    for split, cases in zip(SPLITS[1:], sizes.get(name, (None, None)), strict=True):
        count = task.batches(64, split)
        assert count == (None if cases is None else -(-cases // 64))
        if count is not None and cases is not None:
            assert len(task.batch(64, count - 1, split=split).y) == cases - 64 * (count - 1)


def test_what_every_batch_refuses() -> None:
    task = TASKS["adding"]()
    for name, given in (("size", {"size": 0}), ("index", {"size": 1, "index": -1}), ("seed", {"size": 1, "seed": -1})):
        with pytest.raises(InputError, match=rf"Adding.batch: {name} is -?\d, but a whole number of at least \d"):
            task.batch(**given)  # type: ignore[arg-type]  # a dictionary of arguments
    with pytest.raises(InputError, match=r"Adding.batch: size is 2\.5, but a whole number"):
        task.batch(2.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"Adding.batch: split is 'tst', which is not known.* mean 'test'"):
        task.batch(1, split="tst")


WRONG: list[tuple[str, dict[str, object], str]] = [
    ("selective-copying", {"length": 0}, "SelectiveCopying: length is 0, but a whole number of at least 1"),
    ("selective-copying", {"length": 8}, "SelectiveCopying: memorize is 16 and length 8"),
    ("copying", {"vocabulary": 2}, "Copying: vocabulary is 2, but a whole number of at least 3"),
    ("induction-heads", {"length": 2}, "InductionHeads: length is 2"),
    ("induction-heads", {"vocabulary": 2}, "InductionHeads: vocabulary is 2"),
    ("associative-recall", {"pairs": 40}, "vocabulary of 64 has 31 keys: make vocabulary at least 81"),
    ("associative-recall", {"pairs": 8, "length": 23}, "length is 23, but 8 pairs and their questions need 24"),
    ("associative-recall", {"power": -1.0}, "AssociativeRecall: power is -1.0, but a positive finite number"),
    ("delay", {"delay": 1000}, "Delay: delay is 1000, but a sequence has 1000 samples"),
    ("delay", {"band": 1.5}, r"Delay: band is 1.5, but a part of the largest frequency, in \(0, 1\]"),
    ("reconstruction", {"points": 2000}, "Reconstruction: points is 2000, but a sequence has 1000 samples"),
    ("reconstruction", {"band": 0.0}, "Reconstruction: band is 0.0"),
    ("adding", {"length": 1}, "Adding: length is 1"),
    ("adding", {"length": True}, "Adding: length is True, but a whole number"),
    ("mackey-glass", {"ahead": 0}, "MackeyGlass: ahead is 0"),
    ("mackey-glass", {"delay": 301}, "MackeyGlass: delay is 301, but at most 300 is expected"),
    ("lorenz", {"dt": float("nan")}, "Lorenz: dt is nan, but a positive finite number"),
    ("listops", {"shortest": 300}, "ListOps: shortest is 300 and length 256: make shortest at most length"),
    ("listops", {"arguments": 1}, "ListOps: arguments is 1"),
    ("published-mnist1d", {"folder": "nowhere"}, "'nowhere/mnist1d.npz' cannot be read.* or take the task mnist1d"),
    ("sequential-mnist", {"folder": "nowhere"}, "read_idx: there is no file 'nowhere/train-images-idx3-ubyte'"),
]


@pytest.mark.parametrize(("name", "given", "words"), WRONG)
def test_what_the_tasks_refuse(name: str, given: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        TASKS[name](**given)
