"""The benchmark of tasks: each experiment runs at a small size, is resumed, and writes what the pages draw."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def call(repository: Path, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repository / "benchmarks" / "tasks.py"), *arguments, "--scratch", str(tmp_path)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=ENVIRONMENT, check=False
    )


@pytest.mark.parametrize(
    ("experiment", "models", "kind"),
    [("induction", ["S6", "LSTM", "Transformer"], "accuracy, %"), ("delay", ["random A"], "mean squared error")],
)
def test_models_are_trained_and_judged(
    repository: Path, tmp_path: Path, experiment: str, models: list[str], kind: str
) -> None:
    file = tmp_path / "rows.json"
    done = call(repository, tmp_path, experiment, "--quick", "--json", str(file), "--models", *models)
    assert done.returncode == 0, done.stderr
    results = json.loads(file.read_text())
    assert list(results) == models
    for name, result in results.items():
        assert result["row"]["model"] == name
        assert result["row"][kind] >= 0
        assert [row["step"] for row in result["curve"]] == [1, 2, 3, 4]
        assert len(result["lengths"]) == (2 if experiment == "induction" else 0)
        assert f"| {name} |" in done.stdout


def test_an_unknown_model_is_refused(repository: Path, tmp_path: Path) -> None:
    done = call(repository, tmp_path, "delay", "--models", "S7")
    assert done.returncode == 2
    assert "--models: S7 not known: choose among S4D-legs, S4D-lin" in done.stderr
