"""A training that is killed goes on to the same bits, and only with the same signals and parameters."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from statespace import Classifier, InputError

PROGRAM = """
import sys
import numpy as np
import torch
from statespace import Classifier

def train(val_size, checkpoint):
    y = np.arange(24) % 2
    X = np.sin(np.arange(50) * (0.2 + 0.1 * y[:, None])) + 0.5 * np.random.default_rng(0).standard_normal((24, 50))
    model = Classifier("s4d", d_model=8, n_layers=2, d_state=4, max_epochs=40, batch_size=8, patience=-1,
                       val_size=val_size, accelerator="cpu", verbose=False)
    return model.fit(X, y, checkpoint=checkpoint).predict_proba(X)

if __name__ == "__main__":
    torch.set_num_threads(1)
    train(float(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("val_size", [0.25, 0.0])
def test_a_killed_training_goes_on_to_the_same_bits(val_size: float, tmp_path: Path) -> None:
    kept = tmp_path / "run.ckpt"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(val_size), str(kept)])
    end = time.monotonic() + 120
    while not kept.is_file() and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < torch.load(kept, weights_only=True)["global_step"] < 120  # it was on its way
    here: dict[str, Any] = {"__name__": "program"}
    exec(PROGRAM, here)
    resumed, whole = (here["train"](val_size, checkpoint) for checkpoint in (kept, tmp_path / "other.ckpt"))
    assert not kept.exists()
    np.testing.assert_array_equal(resumed, whole)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    X, y = np.random.default_rng(0).standard_normal((8, 20)), np.arange(8) % 2
    model = Classifier("s4d", d_model=4, n_layers=1, d_state=4, max_epochs=1, verbose=False)
    (tmp_path / "run.ckpt").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is no checkpoint of a training"):
        model.fit(X, y, checkpoint=tmp_path / "run.ckpt")
    torch.save({"run": "another"}, tmp_path / "run.ckpt")
    with pytest.raises(InputError, match="with other signals or parameters"):
        model.fit(X, y, checkpoint=tmp_path / "run.ckpt")
    with pytest.raises(InputError, match=r"ends with \.ckpt"):
        model.fit(X, y, checkpoint=tmp_path / "run.bin")
