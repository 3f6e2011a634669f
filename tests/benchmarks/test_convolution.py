"""The benchmark of the convolution view: it runs, compares equals, and prints what it says it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def run(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict]:
    file = tmp_path_factory.mktemp("benchmark") / "rows.json"
    command = [sys.executable, str(repository / "benchmarks" / "convolution.py"), "--quick", "--json", str(file)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=file.parent, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text())


def test_every_case_is_timed_under_both_allocators(run: tuple[str, dict]) -> None:
    printed, rows = run
    assert set(rows["time"]) == {"default", "memory kept"}
    for timed in rows["time"].values():
        cases = {(row["operation"], row["pass"]) for row in timed}
        assert cases == {
            (operation, which) for operation in ("kernel", "convolution") for which in ("forward", "forward + backward")
        }
        for row in timed:
            assert row["ratio"] == pytest.approx(row["plain, ms"] / row["ours, ms"])
    assert printed.count("| operation | pass | L |") == 3
    assert "allocator: default" in printed
    assert "allocator: memory kept" in printed


def test_both_sides_compute_the_same(repository: Path) -> None:
    script = """
import argparse, torch, convolution
options = argparse.Namespace(channels=8, modes=4, batch=2)
which = "forward + backward"
for operation in ("kernel", "convolution"):
    plain, ours = (convolution.make(operation, side, which, 100, options)() for side in convolution.SIDES)
    for a, b in zip(plain, ours, strict=True):
        # float32: sums of a few hundred terms, relative to the largest
        assert (a - b).abs().max() < 1e-4 * a.abs().max(), operation
"""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=repository / "benchmarks",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
