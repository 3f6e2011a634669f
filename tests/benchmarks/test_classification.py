"""The benchmark of the classifier: bundled sets at a small size, and data that is not there."""

import json
import os
import subprocess
import sys
from pathlib import Path


def call(repository: Path, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(repository / "benchmarks" / "classification.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "STATESPACE_DATA": str(tmp_path / "nowhere")},
        check=False,
    )


def test_bundled_sets_are_judged(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    done = call(
        repository, tmp_path, "--sets", "gunpoint", "--seeds", "2", "--set", "systems=50", "--json", str(file)
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = json.loads(file.read_text())["gunpoint"]
    assert float(row["accuracy"].split()[0]) > 0.9
    assert "| gunpoint | 50 / 150 × 1 × 150 |" in done.stdout


def test_data_and_parameters_that_are_not_there_are_named(repository: Path, tmp_path: Path) -> None:
    done = call(repository, tmp_path, "--sets", "OSULeaf")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no OSULeaf in" in done.stderr
    done = call(repository, tmp_path, "--sets", "gunpoint", "--set", "sistems=50")
    assert done.returncode == 2
    assert "sistems" in done.stderr
