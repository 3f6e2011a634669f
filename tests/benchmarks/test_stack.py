"""The benchmark of the stack: it runs, its steps train both sides, and it prints what it says it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def test_every_case_is_timed_under_both_allocators(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    command = [sys.executable, str(repository / "benchmarks" / "stack.py"), "--quick", "--json", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())["time"]
    assert set(rows) == {"default", "memory kept"}
    for timed in rows.values():
        assert [row["B"] for row in timed] == [2]
        for row in timed:
            for side in ("S4D", "Mamba"):
                assert row[f"{side} / LSTM"] == pytest.approx(row[f"{side}, ms"] / row["LSTM, ms"])
    assert done.stdout.count("| B | S4D, ms | Mamba, ms | LSTM, ms |") == 2
    assert "allocator: memory kept" in done.stdout


def test_all_sides_train(repository: Path) -> None:
    script = """
import argparse, stack
options = argparse.Namespace(length=20, channels=4, layers=2, states=8)
for side in stack.SIDES:
    step = stack.make(side, 3, options)
    first, *others = [step() for _ in range(20)]
    assert others[-1] < first, (side, first, others[-1])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=repository / "benchmarks",
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
