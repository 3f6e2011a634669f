"""The benchmark of the GPU goes through all it does, interpreted; and says so where there is no GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch


def run(repository: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repository / "benchmarks" / "gpu.py"), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"} | variables
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


def test_every_part_runs(repository: Path, tmp_path: Path) -> None:
    done = run(repository, "--interpret", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu-interpreter.json").read_text())
    with_kernels = {path.parent.name for path in (repository / "kernels").glob("*/triton*") if path.name[0] != "_"}
    assert {row["operation"].split(",")[0] for row in found["errors"]} == with_kernels - {"gpu"}
    for row in found["errors"]:
        assert row["results"] < 2e-6, row  # float32
        assert (row["gradients"] is None) == (row["operation"] == "selective_state_update")
        assert (row["gradients"] or 0) < 1e-5, row
    assert [row["pass"] for row in found["times"]] == ["forward", "training"]
    for row in found["times"]:
        assert row["ours, ms"] > 0
        assert row["torch, compiled / ours"] * row["ours, ms"] > 0
        assert row["share of exponentials, %"] > 0
    assert {row["operation"].split(",")[0] for row in found["operations"]} == with_kernels - {
        "gpu",
        "selective_scan",
        "selective_state_update",
    } | {"selective_scan"}
    for row in found["operations"] + found["steps"]:
        assert row["share of bandwidth, %"] > 0
    assert (tmp_path / "gpu-interpreter.md").read_text() in done.stdout


def test_without_a_gpu_it_says_so(repository: Path) -> None:
    if torch.cuda.is_available():
        return
    done = run(repository)
    assert done.returncode == 2
    assert done.stderr == (
        "The kernels cannot run on a GPU here: Triton is not usable: torch finds no GPU. "
        "Install a build of torch for CUDA or ROCm on a machine that has one.\n"
    )


def test_all_ways_compute_the_same(repository: Path) -> None:
    sys.path.insert(0, str(repository / "benchmarks"))
    from gpus.scans import make, ours, plain

    arguments = [x.double() for x in make((1, 21, 3, 4), torch.float32, "cpu")]
    # `plain` computes in float32.
    torch.testing.assert_close(plain(*arguments), ours(*arguments), rtol=0, atol=1e-5)
