"""The benchmark of the selective scan: it runs, compares equals, and prints what it says it prints."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from statespace.kernels import native

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
WAYS = ["chunked"] + ([] if native.why_missing() else ["native"]) + (["mambapy"] if find_spec("mambapy") else [])


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=folder, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("what", [[], ["--memory"], ["--lengths"]], ids=lambda what: "".join(what) or "time")
def test_every_case_is_measured(repository: Path, tmp_path: Path, what: list[str]) -> None:
    if what == ["--lengths"] and "native" not in WAYS:
        pytest.skip("lengths are measured with the compiled core, which is not there")
    file = tmp_path / "rows.json"
    script = str(repository / "benchmarks" / "scan.py")
    printed = run([sys.executable, script, "--quick", *what, "--json", str(file)], tmp_path)
    tables = json.loads(file.read_text())
    floors = {title: rows for title, rows in tables.items() if "floor" in title}
    assert len(tables) - len(floors) == (1 if what == ["--memory"] else 2)
    assert len(floors) == (0 if what or "native" not in WAYS else 2)
    assert all(title in printed for title in tables)
    for rows in floors.values():
        assert [(row["pass"], row["threads"]) for row in rows] == [("forward", 1), ("training", 1)]
        for row in rows:
            floor = row["exponentials, ms"] + row["multiply-adds, ms"]
            assert row["native / floor"] == pytest.approx(row["native, ms"] / floor)
    for title, rows in tables.items():
        if title in floors:
            continue
        if what == ["--lengths"]:
            assert [row["L"] for row in rows] == [64, 128]
            continue
        assert [row["pass"] for row in rows] == ["forward", "training"]
        unit = "MB" if what else "ms"
        for row in rows:
            assert {way for way in ("native", "chunked", "mambapy") if row[f"{way}, {unit}"] is not None} == set(WAYS)


def test_all_ways_compute_the_same(repository: Path) -> None:
    script = f"""
import scan
first, *others = [scan.make(way, "training", "2x100x8x4")() for way in {WAYS}]
for other in others:
    for a, b in zip(first, other, strict=True):
        # float32: sums of a few hundred terms, relative to the largest
        assert (a - b).abs().max() < 1e-5 * a.abs().max()
"""
    run([sys.executable, "-c", script], repository / "benchmarks")
