"""The examples run from top to bottom, as a reader would run them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ["02_verify_discretization", "03_hippo_memory", "04_one_system_four_views"]


@pytest.mark.parametrize("name", NAMES)
def test_runs(repository: Path, tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    script = repository / "examples" / f"{name}.py"
    if not script.is_file():
        pytest.skip("the examples are not beside these tests: an installed wheel is tested")
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
