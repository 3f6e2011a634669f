"""``statespace forecast`` from outside: what it writes, and one sentence and exit code 2 for whatever it cannot use."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from statespace import Forecaster
from statespace.layers import LAYERS
from statespace.training import ForecastModule

QUICK = ("--max-steps", "2", "--input-size", "12", "--plot", "--no-holdout")
Run = Callable[..., tuple[int, str, str]]


pytestmark = pytest.mark.usefixtures("one_thread")


def frame(steps: int = 48, freq: str = "MS", name: Any = "a", start: str = "2000-01-01", y: Any = None) -> pd.DataFrame:
    time = np.arange(steps)
    values = 10 + 0.1 * time + np.sin(2 * np.pi * time / 12) if y is None else y
    return pd.DataFrame({"unique_id": name, "ds": pd.date_range(start, periods=steps, freq=freq), "y": values})


def csv(folder: Path, table: pd.DataFrame | str) -> str:
    path = folder / "data.csv"
    path.write_text(table if isinstance(table, str) else table.to_csv(index=False))
    return str(path)


@pytest.fixture
def run(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in this process, in an empty folder; return its code, stdout and stderr."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    return command


# ------------------------------------------------------------------------------------------------------ what is right


def test_the_job_writes_forecast_metrics_pictures_and_model(run: Run, tmp_path: Path) -> None:
    data = csv(tmp_path, pd.concat([frame(), frame(36, name="b/c $x_$")]))
    code, out, err = run("forecast", data, "--h", "4", "--freq", "MS", "--level", "80", "95", "--max-steps", "2")
    assert code == 0
    assert sorted(os.listdir("forecast")) == ["a.png", "b_c_x.png", "forecast.csv", "metrics.json", "model"]
    found = pd.read_csv("forecast/forecast.csv", parse_dates=["ds"])
    assert list(found) == ["unique_id", "ds", "S4D", "S4D-lo-80", "S4D-hi-80", "S4D-lo-95", "S4D-hi-95"]
    assert found["ds"].tolist() == [
        *pd.date_range("2004-01-01", periods=4, freq="MS"),
        *pd.date_range("2003-01-01", periods=4, freq="MS"),
    ]
    again = Forecaster.load("forecast/model").predict(level=[80, 95])
    pd.testing.assert_frame_equal(found, again, check_dtype=False, rtol=1e-12)
    for name in ("a.png", "b_c_x.png"):
        assert Path("forecast", name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    metrics = json.loads(Path("forecast/metrics.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert metrics["holdout"] == {"steps": 4, "series": 2}
    assert set(metrics["models"]) == {"S4D", "SeasonalNaive"}
    naive = frame().y.to_numpy()
    want = np.abs(naive[-4:] - naive[-16:-12]).mean()
    assert metrics["series"]["a"]["SeasonalNaive"]["mae"] == pytest.approx(want, rel=1e-9)
    assert set(metrics["coverage"]) == {"80", "95"}
    assert "SeasonalNaive" in out
    assert "written to forecast/: forecast.csv, metrics.json, a.png, b_c_x.png, model/" in out
    assert "100%" in err  # the progress bar


def test_quiet_says_nothing(run: Run, tmp_path: Path) -> None:
    assert run("forecast", csv(tmp_path, frame()), "--h", "3", *QUICK, "--quiet") == (0, "", "")
    assert sorted(os.listdir("forecast")) == ["forecast.csv", "metrics.json", "model"]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_does_the_job(layer: str, run: Run, tmp_path: Path) -> None:
    assert run("forecast", csv(tmp_path, frame()), "--h", "3", "--layer", layer, *QUICK, "--quiet") == (0, "", "")
    found = pd.read_csv("forecast/forecast.csv", parse_dates=["ds"])
    assert np.isfinite(found[layer.upper()]).all()
    again = Forecaster.load("forecast/model").predict(level=[80, 95])
    pd.testing.assert_frame_equal(found, again, check_dtype=False, rtol=1e-12)


def test_parquet_goes_in_and_out_with_types_kept(run: Run, tmp_path: Path) -> None:
    table = pd.concat([frame(name=7), frame(name=10)])
    table["ds"] = pd.date_range("2024-03-01", periods=48, tz="Europe/Berlin").tolist() * 2
    table.to_parquet(tmp_path / "data.parquet")
    code, _, err = run("forecast", str(tmp_path / "data.parquet"), "--h", "3", "--format", "parquet", *QUICK, "--quiet")
    assert (code, err) == (0, "")
    found = pd.read_parquet("forecast/forecast.parquet")
    assert found["unique_id"].tolist() == [7] * 3 + [10] * 3
    assert found["ds"].tolist()[:3] == pd.date_range("2024-04-18", periods=3, tz="Europe/Berlin").tolist()


def test_other_column_names_and_names_with_zeros(run: Run, tmp_path: Path) -> None:
    table = frame(name="007").rename(columns={"unique_id": "shop", "ds": "day", "y": "sales"})
    names = ("--id-col", "shop", "--time-col", "day", "--target-col", "sales")
    assert run("forecast", csv(tmp_path, table), "--h", "3", *names, *QUICK, "--quiet")[0] == 0
    found = pd.read_csv("forecast/forecast.csv", dtype={"shop": str})
    assert list(found)[:3] == ["shop", "day", "S4D"]
    assert set(found["shop"]) == {"007"}


@pytest.mark.parametrize(
    ("table", "note"),
    [
        (frame().iloc[::-1], "note: Forecaster.fit: the stamps in 'ds' were not in order; they were sorted.\n"),
        (
            frame(y=np.nan),
            "note: Forecaster.fit: nothing was observed in the last 36 steps of series a: the forecast is NaN.\n",
        ),
        (frame(y=5.0), ""),
        (frame(y=0.0), ""),
        (frame(y=1e300), ""),
        (frame().assign(ds=range(48)).drop(index=[3, 4, 9]), ""),
        (frame().assign(ds=np.arange(48.0)), ""),
        (frame().assign(ds=[f"2000-01-01T{i % 24:02}:00+01:00" for i in range(24)] * 2).head(24), ""),
        (frame(freq="YE", start="1200-01-01"), ""),
    ],
)
def test_odd_tables_work_with_a_note_where_something_was_changed(
    table: pd.DataFrame, note: str, run: Run, tmp_path: Path
) -> None:
    # with the measurement and the picture, which meet the same table once more
    code, _, err = run("forecast", csv(tmp_path, table), "--h", "3", "--max-steps", "2")
    assert code == 0
    assert "".join(line for line in err.splitlines(keepends=True) if line.startswith("note:")) == note
    found = pd.read_csv("forecast/forecast.csv")
    assert len(found) == 3
    assert np.isfinite(found.iloc[:, 2:].to_numpy()).all() != table["y"].isna().all()
    json.loads(Path("forecast/metrics.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_a_folder_that_is_there_is_filled_and_its_other_files_stay(run: Run, tmp_path: Path) -> None:
    Path("forecast").mkdir()
    for name in ("notes.txt", "old.png", "forecast.parquet"):
        Path("forecast", name).write_text("old")
    assert run("forecast", csv(tmp_path, frame()), "--h", "3", *QUICK, "--quiet")[0] == 0
    assert sorted(os.listdir("forecast")) == ["forecast.csv", "metrics.json", "model", "notes.txt"]


# ------------------------------------------------------------------------------------------------------ what is wrong

TABLES: dict[str, tuple[pd.DataFrame | str, str]] = {
    "missing column": (frame().drop(columns="y"), r"no column 'y' \(target_col\); the columns found are unique_id, ds"),
    "misspelt column": (frame().rename(columns={"ds": "Ds"}), r"no column 'ds' \(time_col\); .* unique_id, Ds, y"),
    "unparsable stamp": (frame().astype({"ds": str}).replace("2001-01-01", "soon"), "holds 'soon' in row 13, which is"),
    "doubled stamp": (pd.concat([frame(), frame().tail(1)]), "has two rows for 2003-12-01"),
    "text": (frame().astype({"y": object}).replace(10.0, "ten"), "holds 'ten' in row 1, but numbers"),
    "infinite": (frame(y=[np.inf, *range(47)]), "is infinite in row 1"),
    "short": (frame(3), "the longest series has 3 steps, but h=3 needs at least 4"),
    "one row": (frame(1), "no series has two stamps, so freq cannot be inferred"),
    "header only": ("unique_id,ds,y\n", "has no rows"),
    "one column": ("y\n1\n2\n", "no column 'unique_id'"),
    "empty": ("", "is empty"),
    "blank": ("\n\n", "is empty"),
    "two zones": (
        "unique_id,ds,y\n" + "".join(f"a,2000-01-{i:02}T00:00+0{i % 2}:00,1\n" for i in range(1, 30)),
        "several formats or time zones",
    ),
    "numbers with a half": (frame().assign(ds=np.arange(48) / 2), "holds 0.5 in row 2, which is no stamp"),
    "huge numbers": (frame().assign(ds=[str(2**64 + i) for i in range(48)]), "which is no stamp"),
    "nameless": (frame(name=""), "column 'unique_id' is empty in row 1"),
    "no text": ("\0\0\0", "is not text"),
    "semicolons": ("unique_id;ds;y\na;2000-01-01;1\n", "are separated by semicolons: use commas"),
}


def expect_one_sentence(result: tuple[int, str, str], message: str) -> None:
    code, out, err = result
    assert code == 2
    assert out == ""
    assert re.search(message, err), err
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    assert os.listdir() == []  # nothing is left behind


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_cannot_be_used(case: str, run: Run, tmp_path: Path) -> None:
    table, message = TABLES[case]
    path = tmp_path / "data.csv"
    path.write_text(table if isinstance(table, str) else table.to_csv(index=False))
    result = run("forecast", str(path), "--h", "3", *QUICK)
    expect_one_sentence(result, message)
    if isinstance(table, pd.DataFrame):  # the same sentence in Python
        with pytest.raises(ValueError, match=message) as caught:
            Forecaster(3, verbose=False).fit(pd.read_csv(path, dtype={"unique_id": str}))
        assert result[2] == f"{caught.value}\n"


OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "h 0": (("--h", "0"), "h is 0, but a whole number from 1 on"),
    "h -3": (("--h", "-3"), "h is -3, but a whole number from 1 on"),
    "h beyond all": (("--h", "1000000000"), "has 48 steps, but h=1000000000 needs at least 1000000001"),
    "h beyond int64": (("--h", str(2**70)), "but a whole number up to 2147483647 is expected"),
    "h abc": (("--h", "abc"), "argument --h: 'abc' is no whole number"),
    "h 1.5": (("--h", "1.5"), "'1.5' is no whole number"),
    "h beyond the series": (("--h", "100"), "has 48 steps, but h=100 needs at least 101"),
    "freq": (("--freq", "X"), "freq is 'X', which is not known: .* s, min, 15min, h, D, B, .* MS, ME, QS, QE, YS, YE"),
    "old freq": (("--freq", "M"), "Did you mean 'ME'"),
    "odd freq": (("--freq", "²"), "freq is '²', which is not known"),
    "no freq": (("--freq", ""), "freq is '', which is not known"),
    "freq of numbers": (("--freq", "1"), "freq is 1, but the stamps are dates"),
    "another freq": (("--freq", "ME"), "2000-01-01 00:00:00 does not lie on a grid of freq 'ME'"),
    "fine freq": (("--freq", "s"), "at freq 's' the stamps span"),
    "layer": (("--layer", "s9"), "layer is 's9', which is not known: choose one of .*s4d"),
    "transform": (("--transform", "ln"), "choose one of auto, log, boxcox, none"),
    "intervals": (("--intervals", "x"), "choose one of quantile, conformal"),
    **{f"level {level}": (("--level", level), f"level {level} is not known") for level in ("0", "100", "-5", "nan")},
    "level abc": (("--level", "abc"), "'abc' is no percentage: write 80 or 95"),
    "no level": (("--level",), "argument --level: expected at least one argument"),
    "plot": (("--plot", "zzz"), "there is no series 'zzz' to plot: the series are a"),
    "steps": (("--max-steps", "0"), "max_steps is 0"),
    "seed": (("--seed", "-1"), "random_seed is -1"),
    "format": (("--format", "xls"), "argument --format: invalid choice: 'xls'"),
    "one column twice": (("--id-col", "ds"), "three different columns are expected"),
    "unknown option": (("--hh", "3"), "unrecognized arguments: --hh"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_an_option_that_cannot_be_used(case: str, run: Run, tmp_path: Path) -> None:
    options, message = OPTIONS[case]
    expect_one_sentence(run("forecast", csv(tmp_path, frame()), "--h", "3", *QUICK, "--quiet", *options), message)


def test_files_that_cannot_be_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expect_one_sentence(run("forecast", str(tmp_path), "--h", "3"), "is a folder: name the table in it")
    expect_one_sentence(run("forecast", str(tmp_path / "no.csv"), "--h", "3"), "there is no file '.*no.csv'")
    expect_one_sentence(
        run("forecast", str(tmp_path / ("x" * 300)), "--h", "3"), r"cannot be read \(File name too long\)"
    )
    (tmp_path / "data.xls").write_text("x")
    expect_one_sentence(run("forecast", str(tmp_path / "data.xls"), "--h", "3"), r"use one of \.csv")
    data = csv(tmp_path, frame())

    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        expect_one_sentence(run("forecast", data, "--h", "3"), "may not be read: you have no permission")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read and write everything"
)
def test_files_and_folders_without_permission(run: Run, tmp_path: Path) -> None:
    data = csv(tmp_path, frame())
    Path(data).chmod(0)
    expect_one_sentence(run("forecast", data, "--h", "3"), "may not be read: you have no permission")
    Path(data).chmod(0o600)
    (tmp_path / "locked").mkdir(mode=0o500)
    expect_one_sentence(run("forecast", data, "--h", "3", "--out", str(tmp_path / "locked" / "x")), "cannot be written")
    expect_one_sentence(run("forecast", data, "--h", "3", "--out", str(tmp_path / "locked")), "cannot be written")


def test_folders_that_cannot_be_written_are_refused_before_training(run: Run, tmp_path: Path) -> None:
    data = csv(tmp_path, frame())
    steps = ("--h", "3", "--max-steps", "1000000")
    expect_one_sentence(run("forecast", data, *steps, "--out", data), "is a file, but a folder is to be written")
    expect_one_sentence(run("forecast", data, *steps, "--out", f"{data}/x/y"), "cannot be written")
    if Path("/proc/self").exists():
        expect_one_sentence(run("forecast", data, *steps, "--out", "/proc/nothing"), "cannot be written")


def test_a_failure_on_the_way_out_leaves_what_was_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = csv(tmp_path, frame())
    assert run("forecast", data, "--h", "3", *QUICK, "--quiet")[0] == 0
    before = {path: path.read_bytes() for path in Path("forecast").rglob("*") if path.is_file()}

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)  # of the weights, after forecast and metrics
    code, _, err = run("forecast", data, "--h", "4", *QUICK, "--quiet")
    assert code == 2
    assert "cannot be written (No space left on device)" in err
    assert {path: path.read_bytes() for path in Path("forecast").rglob("*") if path.is_file()} == before
    assert os.listdir() == ["forecast"]


def test_too_little_memory_is_one_sentence(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*_: Any, **__: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr(Forecaster, "_fit", hungry)
    expect_one_sentence(run("forecast", csv(tmp_path, frame()), "--h", "3", *QUICK), "the memory does not suffice")


# ------------------------------------------------------------------------------------------------------- real processes


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "statespace.cli.main", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def until_training(process: subprocess.Popen[bytes]) -> None:
    """Wait until the bar says that a validation has been done."""
    assert process.stderr is not None
    seen = b""
    while b"val_loss" not in seen:
        more = os.read(process.stderr.fileno(), 4096)
        assert more, seen.decode()
        seen += more


def test_a_process_refuses_with_code_2(tmp_path: Path) -> None:
    process = start(tmp_path, "forecast", "no.csv", "--h", "3")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, b"")
    assert err == b"read_frame: there is no file 'no.csv': check the name and the folder.\n"


@pytest.mark.skipif(os.name == "nt", reason="signals are another matter there")
def test_the_first_interrupt_writes_what_was_learnt(tmp_path: Path) -> None:
    data = csv(tmp_path, frame(120))
    process = start(tmp_path, "forecast", data, "--h", "3", "--max-steps", "1000000", "--plot", "--out", "out")
    until_training(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    assert b"training was interrupted" in out
    assert sorted(os.listdir(tmp_path)) == ["data.csv", "out"]
    assert sorted(os.listdir(tmp_path / "out")) == ["forecast.csv", "metrics.json", "model"]
    fc = Forecaster.load(tmp_path / "out" / "model")
    assert fc.outcome is not None
    assert fc.outcome.interrupted
    assert 0 < fc.outcome.best_step <= fc.outcome.steps < 1_000_000
    found = pd.read_csv(tmp_path / "out" / "forecast.csv", parse_dates=["ds"])
    pd.testing.assert_frame_equal(found, fc.predict(level=[80, 95]), check_dtype=False, rtol=1e-6)


@pytest.mark.skipif(os.name == "nt", reason="signals are another matter there")
def test_the_second_interrupt_writes_nothing(tmp_path: Path) -> None:
    for attempt in range(4):
        here = tmp_path / str(attempt)
        here.mkdir()
        data = csv(here, frame(120))
        process = start(here, "forecast", data, "--h", "3", "--max-steps", "1000000", "--plot", "--out", "out")
        until_training(process)
        process.send_signal(signal.SIGINT)
        time.sleep(0.002)  # two signals at once would be one, and on a busy machine these may be
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        if process.returncode:
            break
    assert process.returncode == 130, err.decode()
    assert err.decode().endswith("interrupted: nothing was written\n")
    assert os.listdir(here) == ["data.csv"]


def test_quiet_is_quiet_and_an_error_stands_alone(run: Run, tmp_path: Path) -> None:
    backwards = frame().iloc[::-1]
    assert run("forecast", csv(tmp_path, backwards), "--h", "3", *QUICK, "--quiet") == (0, "", "")
    code, out, err = run("forecast", csv(tmp_path, pd.concat([backwards, backwards.tail(1)])), "--h", "3")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "two rows" in err


def test_a_killed_job_goes_on_from_its_checkpoint(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the second fit, the first is not trained again; both are kept until the report is written."""
    arguments = ("forecast", csv(tmp_path, frame(60)), "--h", "4", *QUICK[:-1], "--quiet")
    assert run(*arguments, "--out", "whole")[0] == 0

    class KilledError(Exception):
        pass

    step, trained = ForecastModule.training_step, []

    def die_in(fit: int) -> None:
        def counted(self: ForecastModule, *rest: Any) -> torch.Tensor:
            if self not in trained:
                trained.append(self)
            if len(trained) == fit:
                raise KilledError
            return step(self, *rest)

        trained.clear()
        monkeypatch.setattr(ForecastModule, "training_step", counted)

    die_in(2)
    with pytest.raises(KilledError):
        run(*arguments, "--checkpoint", "kept/", "--out", "resumed")
    assert sorted(path.name for path in Path().iterdir()) == ["kept", "kept-held-out", "whole"]
    die_in(2)
    assert run(*arguments, "--checkpoint", "kept/", "--out", "resumed") == (0, "", "")
    assert len(trained) == 1
    assert sorted(path.name for path in Path().iterdir()) == ["resumed", "whole"]
    for name in ("forecast.csv", "metrics.json"):
        assert (Path("resumed") / name).read_bytes() == (Path("whole") / name).read_bytes()
