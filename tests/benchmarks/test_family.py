"""The benchmark of the family: it runs, models are of equal size, and it prints what it says it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def test_every_side_is_timed_under_both_allocators(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    script = str(repository / "benchmarks" / "family.py")
    command = [sys.executable, script, "--quick", "--layers", "s5", "--json", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())["time"]
    assert set(rows) == {"default", "memory kept"}
    for timed in rows.values():
        assert [row["layer"] for row in timed] == ["s5", "torch LSTM", "torch attention"]
        assert all(row["training, ms"] > 0 and row["streaming, µs"] > 0 for row in timed)
    assert all("peak memory, MB" in row for row in rows["default"])
    assert "| L | layer | width | parameters | training, ms |" in done.stdout


def test_sizes_are_equal_and_steps_are_the_whole(repository: Path) -> None:
    script = """
import torch, family
widths = family.widths([*family.LAYERS, *family.PEERS], 64)
target = family.count(family.build("s4d", 64))
for side, d in widths.items():
    assert 0.6 < family.count(family.build(side, d)) / target < 1.6, (side, d)
for side in [*family.LAYERS, *family.PEERS]:
    model = family.build(side, 16).double().eval()
    if not model.steps:
        continue
    x = torch.randn(1, 6, 16, dtype=torch.float64)
    y, _ = model(x)
    _, state = model(x[:, :5])
    last, _ = model.step(x[:, 5], state)
    torch.testing.assert_close(last, y[:, 5], rtol=0, atol=1e-10)
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
