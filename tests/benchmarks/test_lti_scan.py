"""The benchmark of the scan: it runs, compares equals, and prints what it says it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from statespace.kernels import native

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def test_every_case_is_timed_under_both_allocators(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    command = [sys.executable, str(repository / "benchmarks" / "lti_scan.py"), "--quick", "--json", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())["time"]
    assert set(rows) == {"default", "memory kept"}
    for timed in rows.values():
        assert [row["pass"] for row in timed] == ["forward", "forward + backward"]
        for row in timed:
            assert row["chunked, ms"] > 0
            if row["native, ms"]:
                assert row["FFT / native"] == pytest.approx(row["FFT, ms"] / row["native, ms"])
    assert done.stdout.count("| B x L x d x n | pass |") == 2
    assert "allocator: memory kept" in done.stdout


def test_all_ways_compute_the_same(repository: Path) -> None:
    ways = ["chunked", "FFT", "S4"] + ([] if native.why_missing() else ["native"])
    script = f"""
import lti_scan
first, *others = [lti_scan.make(way, "forward + backward", "2x100x8x4")() for way in {ways}]
for other in others:
    for a, b in zip(first, other, strict=True):
        # float32: sums of a few hundred terms, relative to the largest
        assert (a - b).abs().max() < 1e-5 * a.abs().max()
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
