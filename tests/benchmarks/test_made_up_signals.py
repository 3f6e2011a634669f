"""The benchmark of made-up signals: each kind is drawn as it says, and one is judged at a small size."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def call(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(repository / "benchmarks" / "made_up_signals.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )


def test_a_kind_is_judged_and_others_are_named(repository: Path) -> None:
    done = call(repository, "--kinds", "drift", "--seeds", "1", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert "| drift | 60 / 150 × 1500 |" in done.stdout
    done = call(repository, "--kinds", "drifts")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no kind 'drifts', but notes, tones" in done.stderr


def test_signals_are_what_they_are_called(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    from made_up_signals import KINDS, drawn

    for kind, (_, classes, *counts) in KINDS.items():
        for (X, y), count in zip(drawn(kind, 0), counts, strict=True):
            assert X.shape[0] == len(y) == count
            assert np.isfinite(X).all()
            assert set(y) == set(range(classes))
    (X, y), _ = drawn("tones", 0)
    peak = np.abs(np.fft.rfft(X)).argmax(1) / X.shape[1]
    np.testing.assert_allclose(peak, 0.05 * 1.03**y, atol=1e-3)
    (X, y), _ = drawn("loudness", 0)
    loud = [X[y == one].std() for one in range(4)]
    np.testing.assert_allclose(np.divide(loud[1:], loud[:-1]), 1.3, rtol=0.15)
