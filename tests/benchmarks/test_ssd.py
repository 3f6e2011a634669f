"""The benchmark of Mamba-2's scan: it runs under both allocators, and prints what it says it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path


def test_every_case_is_timed_under_both_allocators(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    command = [sys.executable, str(repository / "benchmarks" / "ssd.py"), "--quick", "--json", str(file)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())["time"]
    assert set(rows) == {"default", "memory kept"}
    for timed in rows.values():
        assert [row["pass"] for row in timed] == ["forward", "forward + backward"]
        for row in timed:
            sides = [name.removesuffix(", ms") for name in row if name.endswith(", ms")]
            assert "chunked" in sides
            assert all(row[f"{side}, ms"] > 0 for side in sides)
            ratios = [name for name in row if name.endswith(", CPU time")]
            assert ratios == [f"{side} / {sides[0]}, CPU time" for side in sides[1:]]
            assert all(row[name] > 0 for name in ratios)
    assert "allocator: memory kept" in done.stdout
