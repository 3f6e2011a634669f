"""The benchmark of long horizons: errors as NumPy finds them, the published protocol, absent data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

STEPS, H, SIZE = 705, 12, 24


def call(repository: Path, data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(repository / "benchmarks" / "long_horizon.py"), "--horizons", str(H), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=data,
        env=os.environ | {"OMP_NUM_THREADS": "1", "STATESPACE_DATA": str(data)},
        check=False,
    )


@pytest.fixture
def walk(tmp_path: Path) -> np.ndarray:
    """Two random walks in the place of exchange rates."""
    values = np.random.default_rng(0).standard_normal((STEPS, 2)).cumsum(0)
    (tmp_path / "exchange_rate").mkdir()
    table = pd.DataFrame(values).assign(date=range(STEPS)).set_index("date")
    table.to_csv(tmp_path / "exchange_rate" / "exchange_rate.csv.gz")
    return values


@pytest.mark.parametrize(("flag", "windows"), [([], 130), (["--drop-last-batch"], 128)])
def test_repeating_the_last_value_is_judged_as_by_hand(
    repository: Path, tmp_path: Path, walk: np.ndarray, flag: list[str], windows: int
) -> None:
    file = tmp_path / "rows.json"
    arguments = ["--data", "exchange_rate", "--models", "Repeat", "--input-size", str(SIZE), "--json", str(file)]
    done = call(repository, tmp_path, *arguments, *flag)
    assert done.returncode == 0, done.stderr
    row = json.loads(file.read_text())[f"exchange_rate {H} Repeat"]
    z = (walk - walk[:493].mean(0)) / walk[:493].std(0)  # 70 % train, 10 % validation, 20 % test
    errors = [z[start : start + H] - z[start - 1] for start in range(564, 564 + windows)]
    assert row["windows"] == windows
    assert row["MSE"] == f"{np.mean(np.square(errors)):.4f} ± 0.0000"
    assert row["MAE"] == f"{np.mean(np.abs(errors)):.4f} ± 0.0000"


def test_every_model_is_trained_and_judged(repository: Path, tmp_path: Path, walk: np.ndarray) -> None:
    models, file = ["Forecaster", "NLinear", "DLinear"], tmp_path / "rows.json"
    arguments = ["--data", "exchange_rate", "--input-size", str(SIZE), "--seeds", "2", "--set", "max_steps=3"]
    done = call(repository, tmp_path, *arguments, "--models", *models, "--json", str(file))
    assert done.returncode == 0, done.stderr
    for model in models:
        assert f"| exchange_rate | {H} | {model} |" in done.stdout
    found = json.loads(file.read_text())
    inner, outer = (float(found[f"exchange_rate {H} Forecaster"][f"in the {x} % band, %"].split()[0]) for x in (80, 95))
    assert 0 < inner < outer <= 100
    assert found[f"exchange_rate {H} NLinear"]["in the 80 % band, %"] is None


def test_data_that_is_not_there_is_named(repository: Path, tmp_path: Path) -> None:
    done = call(repository, tmp_path, "--data", "ETTh1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "ETTh1.csv.gz': set STATESPACE_DATA" in done.stderr
