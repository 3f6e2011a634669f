"""What importing costs, what it loads, and what it says when it is done under the wrong name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ["pandas", "pyarrow", "lightning", "pytorch_lightning", "triton", "matplotlib", "scipy"]
LIGHT = [
    "statespace",
    "statespace.discretization",
    "statespace.hippo",
    "statespace.kernels",
    "statespace.layers",
    "statespace.models",
    "statespace.systems",
]


def fresh(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own that shares nothing with this one but the interpreter."""
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120)


def test_the_light_rooms_load_nothing_heavy(tmp_path: Path) -> None:
    # torch brings a module of its own now and then: only what we add to it counts
    code = f"""
import importlib, json, sys, torch
heavy = set({HEAVY})
loaded, seen = {{}}, heavy & set(sys.modules)
for room in {LIGHT}:
    importlib.import_module(room)
    now = heavy & set(sys.modules)
    loaded[room] = sorted(now - seen)
    seen = now
print(json.dumps(loaded))
"""
    done = fresh(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {room: [] for room in LIGHT}


def test_whoever_does_not_train_waits_for_no_lightning(tmp_path: Path) -> None:
    code = """
import sys, statespace.classification, statespace.cli.classify, statespace.cli.predict, statespace.cli.stream
import statespace.forecasting.live_rows, statespace.forecasting.partitions
print(*{"lightning", "matplotlib", "torchmetrics"} & set(sys.modules))
for room in statespace.classification, statespace.training:
    assert set(room.__all__) <= set(dir(room)) and all(getattr(room, name) for name in room.__all__)
"""
    done = fresh(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_importing_costs_next_to_nothing_beyond_torch(tmp_path: Path) -> None:
    code = "import time, torch; t = time.perf_counter(); import statespace; print(time.perf_counter() - t)"
    seconds = min(float(fresh(code, tmp_path).stdout) for _ in range(2))
    assert seconds < 0.25  # a few ms on an idle machine; pandas alone would take longer than this


def test_the_bundled_series_need_no_torch(tmp_path: Path) -> None:
    code = "import sys; from statespace.datasets import load; load('airline'); sys.exit('torch' in sys.modules)"
    done = fresh(code, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ["kernels", "datasets"])
def test_a_room_under_its_bare_name_says_how_it_is_imported(repository: Path, room: str) -> None:
    if not (repository / room).is_dir():
        pytest.skip("the sources are not beside these tests: an installed wheel is tested")
    done = fresh(f"import {room}", repository)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: {room} is a part of statespace: import it as statespace.{room}")


def test_the_estimators_are_announced_before_they_are_loaded(tmp_path: Path) -> None:
    code = "import sys, statespace; print('Forecaster' in dir(statespace), 'pandas' in sys.modules); statespace.Nothing"
    done = fresh(code, tmp_path)
    assert done.stdout.split() == ["True", "False"]
    assert "module 'statespace' has no attribute 'Nothing'" in done.stderr
