"""A fit that is killed goes on to the same bits, wherever it was killed, and only with the same data and parameters."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from statespace import Forecaster, InputError
from statespace.training import ForecastModule, Stages

Small = Callable[..., Forecaster]
Table = Callable[..., pd.DataFrame]

OPTIONS = {
    "h": 4, "input_size": 12, "max_steps": 60, "val_check_steps": 5, "early_stop_patience_steps": 3,
    "learning_rate": 3e-3, "d_model": 8, "n_layers": 1, "d_state": 8, "intervals": "conformal", "accelerator": "cpu",
    "verbose": False,
}  # fmt: skip

# Each child is killed for good at one place, and the next goes on from what it left.
PROGRAM = """
import json, os, signal, sys
import pandas as pd
import torch
from statespace import Forecaster
from statespace.training import ForecastModule, Stages

torch.set_num_threads(1)
frame, folder, model, options, places = sys.argv[1], sys.argv[2], sys.argv[3], *map(json.loads, sys.argv[4:])
fc, frame = Forecaster(**options), pd.read_pickle(frame)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def dying(function, times, afterwards=False):
    left = [times]
    def called(*args, **named):
        left[0] -= 1
        if left[0] == 0 and not afterwards:
            die()
        found = function(*args, **named)
        if left[0] == 0:
            die()
        return found
    return called

def half(value, path):
    path.write_bytes(b"half of it")
    die()

def prepare(place, times):
    if place == "step":
        ForecastModule.training_step = dying(ForecastModule.training_step, times)
    elif place == "validation":
        ForecastModule.validation_step = dying(ForecastModule.validation_step, times)
    elif place in ("done", "kept"):
        Stages.keep = dying(Stages.keep, times, place == "kept")
    else:
        torch.save = half

for place, times in places:
    child = os.fork()
    if child == 0:
        prepare(place, times)
        fc.fit(frame, checkpoint=folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (place, times, status)
    print(json.dumps([path.name for path in os.scandir(folder) if path.name[0] != "."]))
fc.fit(frame, checkpoint=folder).save(model)
"""
PLACES = {
    "half a file": (("half", 1), []),
    "the fit": (("step", 13), ["fit.ckpt", "linear-path.pt"]),
    "a validation": (("validation", 2), ["fit.ckpt", "linear-path.pt"]),
    "half a checkpoint": (("half", 1), ["fit.ckpt", "linear-path.pt"]),
    "the end of the fit": (("done", 1), ["fit.ckpt", "linear-path.pt"]),
    "between the stages": (("kept", 1), ["fit.pt", "linear-path.pt"]),
    "the second path": (("kept", 1), ["fit.pt", "linear-path-on-the-tail.pt", "linear-path.pt"]),
    "the tail": (
        ("step", 7),
        ["fit-on-the-tail.ckpt", "fit.pt", "linear-path-on-the-tail.pt", "linear-path.pt"],
    ),
}  # in the order of a fit, with what is there afterwards


@pytest.fixture
def frame(table: Table) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.concat([table(90), table(70, name="b")], ignore_index=True)
    return frame.assign(y=frame["y"] + 0.3 * rng.standard_normal(len(frame)))


def test_a_killed_fit_goes_on_to_the_same_bits(frame: pd.DataFrame, tmp_path: Path) -> None:
    whole = Forecaster(**OPTIONS).fit(frame)  # type: ignore[arg-type]  # a dictionary of options
    assert whole.outcome is not None
    assert whole.outcome.best_step >= 20  # the tail is trained for more steps than lie between two checkpoints
    assert whole.outcome.steps > whole.outcome.best_step
    frame.to_pickle(tmp_path / "frame.pkl")
    places = json.dumps([place for place, _ in PLACES.values()])
    folders = [str(tmp_path / name) for name in ("frame.pkl", "run", "model")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *folders, json.dumps(OPTIONS), places],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    left = [sorted({*json.loads(line)} - {"run"}) for line in done.stdout.splitlines()]
    assert left == [there for _, there in PLACES.values()]
    assert not (tmp_path / "run").exists()
    resumed = Forecaster.load(tmp_path / "model")
    assert resumed.outcome == whole.outcome
    weights, others = (fc._ready("test").network.state_dict() for fc in (resumed, whole))
    assert all(torch.equal(weights[name], other) for name, other in others.items())
    pd.testing.assert_frame_equal(resumed.predict(level=[80]), whole.predict(level=[80]), check_exact=True)
    pd.testing.assert_frame_equal(resumed.simulate(3), whole.simulate(3), check_exact=True)


class KilledError(Exception):
    """What stands for a kill where it need not be a real one."""


def killed(*_: object) -> None:
    raise KilledError


def test_a_fit_whose_steps_were_all_taken_goes_on_with_its_random_numbers(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = OPTIONS | {"max_steps": 20, "early_stop_patience_steps": -1}
    whole = Forecaster(**options).fit(frame)  # type: ignore[arg-type]  # a dictionary of options
    assert whole.outcome is not None
    assert whole.outcome.best_step == 20  # so that there is a tail, in which histories are disturbed
    keep = Stages.keep
    monkeypatch.setattr(
        Stages, "keep", lambda self, stage, *rest: killed() if stage == "fit" else keep(self, stage, *rest)
    )
    fc = Forecaster(**options)  # type: ignore[arg-type]  # the same
    with pytest.raises(KilledError):
        fc.fit(frame, checkpoint=tmp_path / "run")
    monkeypatch.undo()
    pd.testing.assert_frame_equal(
        fc.fit(frame, checkpoint=tmp_path / "run").predict(), whole.predict(), check_exact=True
    )


def test_an_interrupted_fit_goes_on_to_the_same_bits(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C validates once more, beside the schedule: that is not to be seen afterwards."""
    whole = Forecaster(**OPTIONS).fit(frame)  # type: ignore[arg-type]  # a dictionary of options
    step = ForecastModule.training_step

    def interrupted(self: ForecastModule, *args: object) -> torch.Tensor:
        if self.global_step == 12:
            self.trainer.callbacks[0].interrupted = self.trainer.should_stop = True  # type: ignore[attr-defined]  # ours
        return step(self, *args)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(ForecastModule, "training_step", interrupted)
    fc = Forecaster(**OPTIONS).fit(frame, checkpoint=tmp_path / "run")  # type: ignore[arg-type]  # the same
    assert fc.outcome is not None
    assert fc.outcome.interrupted
    assert fc.outcome.steps == 13
    monkeypatch.undo()
    fc.fit(frame, checkpoint=tmp_path / "run")
    assert fc.outcome == whole.outcome
    pd.testing.assert_frame_equal(fc.predict(), whole.predict(), check_exact=True)


def test_a_checkpoint_of_another_fit_is_refused(small: Small, table: Table, tmp_path: Path) -> None:
    fc, folder = small(max_steps=10_000, val_check_steps=1), tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(ForecastModule, "training_step", killed)
        fc.fit(table(), checkpoint=folder)
    other = table().assign(y=lambda frame: frame["y"] + np.where(frame.index == 30, 1e-3, 0))
    for changed, data in ((fc, other), (small(max_steps=10_000, val_check_steps=1, d_state=4), table())):
        with pytest.raises(InputError, match=r"checkpoint '.*run' holds a training on other data, with other param"):
            changed.fit(data, checkpoint=folder)
    with pytest.raises(InputError, match="holds something else than a training: name a folder of its own"):
        fc.fit(table(), checkpoint=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, but a folder is to be written"):
        fc.fit(table(), checkpoint=tmp_path / "file")
