"""Two processes train as one does at the same batch, and what cannot start them is told what is needed."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from statespace import Forecaster, InputError
from statespace.training import Windows, WindowSource
from statespace.training.random_state import RandomStateModule

# A batch and a validation that do not split evenly, by a script as a user would write it.
OPTIONS: dict[str, Any] = {
    "h": 4, "input_size": 12, "max_steps": 3, "val_check_steps": 1, "batch_size": 7, "d_model": 4, "n_layers": 1,
    "d_state": 4, "learning_rate": 0.02, "dropout": 0.0, "augmentation": 0.0,
    "weight_col": "w", "accelerator": "cpu", "verbose": False,
}  # fmt: skip
SCRIPT = """
import pandas as pd, torch
from statespace import Forecaster

def main():
    torch.set_num_threads(1)
    fc = Forecaster(**{options}, devices=2, strategy="ddp")
    fc.fit(pd.read_pickle("frame.pkl")).save("model")

{start}
"""


GUARDED = 'if __name__ == "__main__":\n    main()'
MANY: dict[str, dict[str, Any]] = {"alone": {}, "informing each other": {"multivariate": True}}


def series(name: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = np.sin(np.arange(60) / 3) + 0.3 * rng.standard_normal(60)
    return pd.DataFrame({"unique_id": name, "ds": np.arange(60), "y": y, "w": rng.random(60)})


@pytest.fixture
def frame() -> pd.DataFrame:
    return series(0, 0)


def script(
    folder: Path, frame: pd.DataFrame, start: str, options: dict[str, Any] = OPTIONS
) -> subprocess.CompletedProcess[str]:
    frame.to_pickle(folder / "frame.pkl")
    (folder / "script.py").write_text(SCRIPT.format(options=options, start=start))
    return subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", MANY)
def test_two_processes_come_to_what_one_comes_to(kind: str, tmp_path: Path) -> None:
    options, frame = OPTIONS | MANY[kind], series(0, 0)
    if kind != "alone":  # a series that follows the other by three steps
        frame = pd.concat([frame, series(1, 1).assign(y=frame["y"].shift(3))], ignore_index=True)
    done = script(tmp_path, frame, GUARDED, options)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")  # nothing is said by any of them
    one, two = Forecaster(**options).fit(frame), Forecaster.load(tmp_path / "model")
    assert one.outcome is not None
    assert two.outcome is not None
    assert two.outcome._replace(best_loss=0.0) == one.outcome._replace(best_loss=0.0)
    # sums of float32 in another order, over three steps
    assert two.outcome.best_loss == pytest.approx(one.outcome.best_loss, rel=1e-5)
    weights, others = (fc._ready("test").network.state_dict() for fc in (one, two))
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(two.predict()["S4D"], one.predict()["S4D"], rtol=1e-4)


def test_a_script_without_a_guard_is_told_so(frame: pd.DataFrame, tmp_path: Path) -> None:
    done = script(tmp_path, frame, "main()")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.splitlines()[-1] == (
        "statespace.errors.InputError: fit: 2 processes are to be started, which read the script anew and would start "
        'others in turn: put what the script does below `if __name__ == "__main__":`.'
    )


def test_a_script_that_cannot_be_read_twice_is_told_so(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "<stdin>"), raising=False)
    with pytest.raises(InputError, match=r"read the script anew, but .*<stdin> cannot be read twice: write it to a f"):
        Forecaster(**OPTIONS, devices=2).fit(frame)


def test_parts_of_a_batch_are_all_of_it() -> None:
    source = WindowSource(torch.randn(40), torch.tensor([40]), 4, 2)
    whole = source.cut(torch.zeros(7, dtype=torch.int64), torch.arange(5, 12))
    parts = [whole.every(3, number) for number in range(3)]
    assert [len(part.y) for part in parts] == [3, 2, 2]
    for name in Windows._fields[1:]:
        joined = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(joined[[0, 3, 5, 1, 4, 6, 2]], getattr(whole, name))
    assert torch.equal(torch.cat([part.past.x for part in parts])[[0, 3, 5, 1, 4, 6, 2]], whole.past.x)


def test_a_batch_too_small_to_share_is_refused() -> None:
    with pytest.raises(InputError, match="batch_size is 1, but devices=2 share each batch: raise it to as many at lea"):
        Forecaster(2, batch_size=1, devices=2)


def test_each_process_goes_on_with_random_numbers_of_its_own() -> None:
    generators = [torch.Generator().manual_seed(seed) for seed in range(3)]
    module = RandomStateModule()
    module.trainer = SimpleNamespace(global_rank=2)  # type: ignore[assignment]  # as much of one as is asked
    module.on_load_checkpoint({"random_state": torch.stack([each.get_state() for each in generators])})
    with torch.random.fork_rng(devices=[]):
        module.on_train_start()
        assert torch.equal(torch.rand(5), torch.rand(5, generator=generators[2]))
