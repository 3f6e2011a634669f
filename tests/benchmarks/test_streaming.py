"""The benchmark of streaming steps: it runs, and prints and writes what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_every_step_is_timed_beside_the_cell(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    command = [sys.executable, str(repository / "benchmarks" / "streaming.py"), "--quick", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    steps = {row["step"]: row for row in found["steps"]}
    assert {"Mamba, reference", "S4D, reference", "LSTMCell"} <= steps.keys()
    for row in steps.values():
        assert row["over LSTMCell"] == pytest.approx(row["us"] / steps["LSTMCell"]["us"])
    small, large = found["contexts"]
    assert (small["context"], large["context"]) == (16, 32)
    assert large["Transformer, MB"] == pytest.approx(33 / 17 * small["Transformer, MB"])
    assert large["Mamba, MB"] == small["Mamba, MB"]
    assert "| batch | step | us | over LSTMCell |" in done.stdout
