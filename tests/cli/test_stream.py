"""The command in this process and in its own: pipes, SIGTERM, no lost or doubled row, and memory that stays."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from statespace import Forecaster
from statespace.cli.main import main

COMMAND = [sys.executable, "-m", "statespace.cli.main", "stream"]


def table(steps: int, start: int = 0, series: int = 2) -> pd.DataFrame:
    time_ = np.arange(start, start + steps)
    stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta(time_, unit="h")
    return pd.concat(
        pd.DataFrame({"unique_id": f"s{i}", "ds": stamps, "y": 5 * i + np.sin(time_ / 4)}) for i in range(series)
    ).sort_values(["ds", "unique_id"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stream") / "model"
    small = {"max_steps": 6, "d_model": 8, "n_layers": 1, "d_state": 8, "verbose": False}
    Forecaster(4, 24, **small).fit(table(80)).save(folder)  # type: ignore[arg-type]  # a dictionary of options
    return folder


class Result(NamedTuple):
    """What a run has left."""

    returncode: int
    stdout: str
    stderr: str


def run(model: Path, text: str, *options: str) -> Result:
    """Run the command in this process, on a file in the place of a pipe."""
    out, err = StringIO(), StringIO()
    with TemporaryFile("w+") as rows, redirect_stdout(out), redirect_stderr(err):
        rows.write(text)
        rows.flush()
        os.lseek(rows.fileno(), 0, os.SEEK_SET)
        before, sys.stdin = sys.stdin, rows
        try:
            code = main(["stream", str(model), *options])
        except SystemExit as ending:
            code = int(str(ending.code))
        finally:
            sys.stdin = before
    return Result(code, out.getvalue(), err.getvalue())


def csv(frame: pd.DataFrame) -> str:
    return str(frame.to_csv(index=False))


def test_rows_come_back_with_what_was_expected_of_them(model: Path) -> None:
    new = table(40, 80)
    new.loc[(new["unique_id"] == "s1") & (new["ds"] == new["ds"].iloc[20]), "y"] = 50.0
    found = run(model, csv(new), "--detect", "--level", "80", "95")
    assert found.returncode == 0
    back = pd.read_csv(pd.io.common.StringIO(found.stdout), parse_dates=["ds"])
    bands = ["S4D-lo-80", "S4D-hi-80", "S4D-lo-95", "S4D-hi-95"]
    assert list(back) == ["unique_id", "ds", "y", "S4D", *bands, "score", "anomaly"]
    pd.testing.assert_frame_equal(back[["unique_id", "ds", "y"]], new.reset_index(drop=True))
    assert back.loc[back["score"].idxmax(), "y"] == 50.0
    assert (back["anomaly"] == (back["score"].abs() >= 4)).all()
    assert found.stderr == f"80 rows, {back['anomaly'].sum()} anomalies (score of 4 and more)\n"
    want = Forecaster.load(model).predict(h=1, level=[80, 95])
    np.testing.assert_allclose(back.iloc[:2][["S4D", *bands]], want[["S4D", *bands]], rtol=1e-4)


@pytest.mark.parametrize(
    ("alias", "options", "said"),
    [("y", [], "target_col is 'y', which is also a column"), ("score", ["--detect"], "alias is 'score', but")],
)
def test_columns_of_one_name_are_refused(
    model: Path, tmp_path: Path, alias: str, options: list[str], said: str
) -> None:
    fc = Forecaster.load(model)
    fc.set_params(alias=alias).save(tmp_path / "model")
    found = run(tmp_path / "model", csv(table(10, 80)), *options)
    assert (found.returncode, found.stdout) == (2, "")
    assert said in found.stderr


def test_json_goes_in_and_out(model: Path) -> None:
    new = table(10, 80).assign(ds=lambda f: f["ds"].astype(str))
    new.iloc[3, 2] = np.nan
    found = run(model, new.to_json(orient="records", lines=True), "--format", "jsonl", "--detect", "--quiet")
    assert (found.returncode, found.stderr) == (0, "")
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(rows) == 20
    assert rows[3]["y"] is None
    assert rows[3]["score"] is None
    assert rows[3]["anomaly"] is False
    assert rows[4]["unique_id"] == new["unique_id"].iloc[4]


def test_broken_lines_are_counted_or_stopped_at(model: Path, tmp_path: Path) -> None:
    good = csv(table(6, 80)).splitlines()
    text = "\n".join([*good[:5], "s9,2024-01-05,1", "s0,soon,1", "s0", *good[5:]]) + "\n"
    found = run(model, text)
    assert found.returncode == 0
    assert len(found.stdout.splitlines()) == len(good)
    assert "note: line 6: series 's9' was not there in training; skipped" in found.stderr
    assert "3 lines skipped that could not be used" in found.stderr
    state = str(tmp_path / "state")
    stopped = run(model, text, "--on-error", "stop", "--state", state)
    assert stopped.returncode == 2
    assert stopped.stderr.startswith("stream: line 6: series 's9' was not there in training: mend it")
    assert stopped.stdout.splitlines() == found.stdout.splitlines()[:5]  # what came before is told, and kept
    mended = run(model, "\n".join(good) + "\n", "--on-error", "stop", "--state", state)
    assert [line.split(",")[:3] for line in mended.stdout.splitlines()[1:]] == [line.split(",") for line in good[5:]]


@pytest.mark.parametrize("broken", [10, 11, 30])
def test_after_ten_broken_lines_it_says_that_others_are_only_counted(model: Path, broken: int) -> None:
    good = csv(table(6, 80)).splitlines()
    found = run(model, "\n".join([*good[:5], *["s9,2024-01-05,1"] * (broken - 3), *good[5:], *["s0"] * 3]) + "\n")
    *notes, summary = found.stderr.splitlines()
    assert sum(note.endswith("; skipped") for note in notes) == 10
    assert notes[10:] == ["note: further lines that cannot be used are only counted"] * (broken > 10)
    assert summary.endswith(f"{broken} lines skipped that could not be used")


@pytest.mark.parametrize("apart", [False, True])
def test_rows_that_come_too_late_are_told_apart_from_known_ones(model: Path, tmp_path: Path, apart: bool) -> None:
    header, *good = csv(table(6, 80)).splitlines()
    late = good.pop(4)  # s0 at 82, which comes behind the rows for 84
    good.insert(9, late)
    known = csv(table(80)).splitlines()[1:]  # twice 80 rows, of which a window is 24
    text = "\n".join([header, *known, *good]) + "\n"
    state = str(tmp_path / "state")
    if apart:  # the rows before the late one came in another run
        text = "\n".join([header, *good[:9]]) + "\n"
        assert run(model, text, "--state", state).stderr == "9 rows\n"
        text = "\n".join([header, *known, *good]) + "\n"
    found = run(model, text, *(["--state", state] if apart else []))
    assert found.returncode == 0
    *notes, summary = found.stderr.splitlines()
    stamps = "2024-01-04 12:00:00", "2024-01-04 10:00:00"
    assert notes == [
        f"note: line 171: series 's0' has reached {stamps[0]}, and its row for {stamps[1]} comes too late; skipped"
    ]
    # Of s0 24 steps are kept, up to the one at 84 in the second run; of s1 up to that one too.
    there, unclear = (2 * 24 - 1, 2 * (85 - 24)) if apart else (2 * 24, 2 * (80 - 24))
    assert summary == (
        f"{2 if apart else 11} rows, {there} left out that were known before, "
        f"{unclear} left out that were known before or too late, 1 left out that came too late"
    )


def test_a_row_that_comes_too_late_can_stop_the_stream(model: Path, tmp_path: Path) -> None:
    header, *good = csv(table(6, 80)).splitlines()
    text = "\n".join([header, *good[:4], *good[5:9], good[4], *good[9:]]) + "\n"
    state = str(tmp_path / "state")
    stopped = run(model, text, "--on-error", "stop", "--state", state)
    assert stopped.returncode == 2
    assert stopped.stderr.startswith("stream: line 10: series 's0' has reached 2024-01-04 12:00:00, and its row for")
    assert [line.split(",")[:3] for line in stopped.stdout.splitlines()[1:]] == [
        line.split(",") for line in [*good[:4], *good[5:9]]
    ]
    again = run(model, text, "--on-error", "stop", "--state", state)
    assert (again.returncode, again.stdout) == (2, "")
    skipped = run(model, text, "--state", state)
    assert skipped.stderr.endswith("3 rows, 8 left out that were known before, 1 left out that came too late\n")


def test_a_row_far_ahead_is_told_once(model: Path) -> None:
    far = csv(table(3, 5000)).splitlines()[1:]
    text = csv(table(2, 80)) + "\n".join(far) + "\n" + "\n".join(csv(table(2, 82)).splitlines()[1:]) + "\n"
    found = run(model, text)
    notes = [line for line in found.stderr.splitlines() if "leaps" in line]
    assert notes == [
        "note: line 6: series 's0' leaps 4919 steps ahead, to 2024-07-27 08:00:00: its rows up to there will come too "
        "late"
    ]
    assert "leaps" not in run(model, text, "--quiet").stderr


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n", [], "stream: the first line must name one column 'unique_id', but it names a, b."),
        ("", ["--threshold", "0"], "is no positive number"),
        ("", ["--level", "100"], "level 100 is not known"),
    ],
)
def test_a_wrong_option_or_header_is_one_sentence(model: Path, text: str, options: list[str], message: str) -> None:
    found = run(model, text, *options)
    assert found.returncode == 2
    assert message in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = run(tmp_path / "nothing", "")
    assert found.returncode == 2
    assert "does not exist" in found.stderr


def _lines(process: "subprocess.Popen[bytes]", count: int) -> Iterator[bytes]:
    assert process.stdout is not None
    for _ in range(count):
        yield process.stdout.readline()


@pytest.mark.parametrize("then", ["rest", "line", "all"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_loses_no_row_and_doubles_none(model: Path, tmp_path: Path, number: int, then: str) -> None:
    """Half of a line has come when the process is told to stop; then comes its rest, or the line, or all from anew."""
    lines = csv(table(60, 80)).encode().splitlines(keepends=True)
    want = run(model, b"".join(lines).decode(), "--detect", "--quiet").stdout
    options = ["--detect", "--quiet", "--state", str(tmp_path / "state")]
    first = subprocess.Popen([*COMMAND, str(model), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert first.stdin is not None
    first.stdin.write(b"".join(lines[:41]) + lines[41][:9])
    first.stdin.flush()
    got = list(_lines(first, 41))
    time.sleep(0.2)
    first.send_signal(number)
    rest, _ = first.communicate()
    assert first.returncode == 128 + number
    assert rest == b""
    more = {"rest": lines[41][9:] + b"".join(lines[42:]), "line": b"".join(lines[41:]), "all": b"".join(lines)}[then]
    second = run(model, more.decode(), *options, "--on-error", "stop")
    assert (second.returncode, second.stderr) == (0, "")
    text = b"".join(got).decode() + "".join(second.stdout.splitlines(keepends=True)[1:])
    a, b = (pd.read_csv(StringIO(part)) for part in (text, want))
    pd.testing.assert_frame_equal(a, b, rtol=1e-3, atol=1e-3)  # other chunks in float32, and four digits of a score
    again = run(model, b"".join(lines).decode(), *options)
    assert (again.returncode, again.stdout) == (0, "")  # all of it is known


def test_rows_come_back_in_the_order_in_which_they_came(model: Path) -> None:
    turned = table(30, 80).sort_values(["ds", "unique_id"], ascending=[True, False])
    back, plain = (pd.read_csv(StringIO(run(model, csv(part), "--quiet").stdout)) for part in (turned, table(30, 80)))
    assert back["unique_id"].tolist() == turned["unique_id"].tolist()
    np.testing.assert_allclose(back.sort_values(["ds", "unique_id"])["S4D"], plain["S4D"], rtol=1e-5, atol=1e-6)


def test_json_may_begin_with_a_mark(model: Path) -> None:
    rows = table(2, 80).assign(ds=lambda f: f["ds"].astype(str)).to_json(orient="records", lines=True)
    assert len(run(model, "\ufeff" + rows, "--format", "jsonl", "--quiet").stdout.splitlines()) == 4


def test_a_place_for_the_state_is_looked_at_before_the_first_row(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    found = run(model, csv(table(6, 80)), "--state", str(tmp_path / "file"))
    assert (found.returncode, found.stdout) == (2, "")
    assert len(found.stderr.splitlines()) == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("text", ["[1]", '{"rest": 1}', '{"rest": "", "header": 5}', "nope", '{"rest": ""}'])
def test_a_state_that_was_changed_is_refused(model: Path, tmp_path: Path, text: str) -> None:
    state = tmp_path / "state"
    assert run(model, csv(table(6, 80)), "--state", str(state), "--quiet").returncode == 0
    (state / "stream.json").write_text(text)
    found = run(model, csv(table(6, 86)), "--state", str(state))
    assert (found.returncode, found.stdout) == (2, "")
    assert "is not what a stream leaves behind" in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_without_standard_input_it_says_so(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["stream", str(model)]) == 2
    assert capsys.readouterr().err.startswith("stream: there is no standard input, but rows are read from it")


def test_a_stamp_in_two_parts_of_a_pipe_is_one(model: Path) -> None:
    """Parts of a pipe end within a stamp and within a line: the rows that come back are those of a file."""
    text = table(120, 80, series=2).to_csv(index=False)
    process = subprocess.Popen(
        [*COMMAND, str(model), "--quiet"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    for begin in range(0, len(text), 1000):
        process.stdin.write(text[begin : begin + 1000])
        process.stdin.flush()
    found = process.communicate()[0]
    expected = run(model, text, "--quiet").stdout
    assert [line.split(",")[:3] for line in found.splitlines()] == [
        line.split(",")[:3] for line in expected.splitlines()
    ]
    both = [pd.read_csv(StringIO(part))["S4D"] for part in (found, expected)]
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alone", range(4))
@pytest.mark.parametrize("end", ["", "\n"])
def test_the_end_may_come_within_a_stamp(model: Path, alone: int, end: str) -> None:
    """No row waits for others of its stamp that never come, nor for the end of its line."""
    rows = pd.concat([table(6, 80), table(alone, 86).query("unique_id == 's0'")])
    lines = rows.to_csv(index=False).splitlines()
    found = run(model, "\n".join(lines) + end, "--quiet").stdout.splitlines()
    assert [line.split(",")[:3] for line in found[1:]] == [line.split(",") for line in lines[1:]]


def test_memory_stays_over_many_rows(model: Path) -> None:
    """Ten times the rows take no more memory: what is kept is a window and a state."""
    process = subprocess.Popen(
        [*COMMAND, str(model), "--detect", "--quiet"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None

    def resident() -> int:
        pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    if not Path("/proc/self/statm").exists():
        pytest.skip("resident memory is read from /proc")
    sizes, start, header = [], 80, True
    for _ in range(6):
        text = table(1000, start).to_csv(index=False, header=header)
        process.stdin.write(text.encode())
        process.stdin.flush()
        list(_lines(process, 2000 + header))
        header, start = False, start + 1000
        sizes.append(resident())
    process.stdin.close()
    assert process.wait() == 0
    assert sizes[-1] - sizes[1] < 8 << 20
