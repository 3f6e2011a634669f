"""The benchmark of a single step: it runs, and says what lies above the core."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from statespace.kernels import native


def test_every_way_is_timed(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    command = [sys.executable, str(repository / "benchmarks" / "single_step.py"), "--quick", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["way"]: row for row in json.loads(file.read_text())}
    if native.why_missing():
        assert list(rows) == ["reference"]
        return
    assert list(rows) == ["core", "step", "operator", "reference"]
    for row in rows.values():
        assert row["above the core, us"] == pytest.approx(row["us"] - rows["core"]["us"])
