"""Series row by row: the same as an update of all rows at once, whatever comes together; scores that mean something."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from statespace import Forecaster
from statespace.errors import InputError
from statespace.forecasting.calendar import as_ticks
from statespace.forecasting.live_rows import LiveRows, RowReader, RowWriter
from statespace.forecasting.panel import Columns
from statespace.forecasting.stream import ForecastStream
from statespace.kernels.native.text import Told

Small = Callable[..., Forecaster]


def series(freq: Any, count: int = 3, steps: int = 120) -> pd.DataFrame:
    rng, time = np.random.default_rng(0), np.arange(steps)
    stamps = time * 7 if isinstance(freq, int) else pd.date_range("2024-01-01", periods=steps, freq=freq)
    return pd.concat(
        pd.DataFrame(
            {
                "unique_id": f"s{i}",
                "ds": stamps,
                "y": 10 * i + np.sin(time / 4 + i) + 0.1 * rng.normal(size=steps) + (time > 90) * 30 * (i == 2),
                "price": rng.normal(size=steps),
            }
        )
        for i in range(count)
    )


def rows_of(stream: ForecastStream, frame: pd.DataFrame) -> tuple[np.ndarray, ...]:
    return (
        frame["unique_id"].map(stream.ids).to_numpy(),
        as_ticks(frame["ds"].reset_index(drop=True)),
        frame["y"].to_numpy(),
        frame[list(stream.beside)].to_numpy(),
    )


@pytest.mark.parametrize("layer", ["s4d", "s6", "lstm", "transformer"])
@pytest.mark.parametrize(
    ("freq", "options"),
    [
        ("h", {}),
        ("h", {"calendar": ["hour"], "futr_exog_list": ["price"]}),
        ("MS", {"hist_exog_list": ["price"]}),
        (7, {}),
    ],
)
def test_a_stream_with_gaps_is_an_update_of_all_its_rows(
    freq: Any, options: dict[str, Any], layer: str, small: Small
) -> None:
    frame = series(freq)
    known = frame.groupby("unique_id").head(70)
    new = frame[frame["ds"] > known["ds"].max()]
    stamps = np.sort(new["ds"].unique())
    new = new[~((new["unique_id"] == "s1") & new["ds"].isin(stamps[5:9]))].copy()
    new.loc[(new["unique_id"] == "s0") & (new["ds"] == stamps[11]), "y"] = np.nan
    first, second = (small(layer=layer, **options).fit(known, freq) for _ in range(2))
    first.update(new)
    stream = ForecastStream(second, [80])
    scores = []
    for _, rows in new.groupby("ds"):
        found = stream.push(*rows_of(stream, rows.sample(frac=1, random_state=1)))
        scores.append(found.score)
    stream.keep()
    assert len(np.concatenate(scores)) == len(new)
    assert np.isnan(np.concatenate(scores)).sum() == 1
    future = {"futr_df": series(freq, steps=130)} if "futr_exog_list" in options else {}
    pd.testing.assert_frame_equal(
        first.predict(level=[80], **future), second.predict(level=[80], **future), rtol=1e-4, atol=1e-4
    )  # float32, in batches of another size


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("layer", ["s4d", "mamba2", "lstm"])
def test_many_rows_at_once_are_the_rows_one_by_one(layer: str, missing: float, small: Small) -> None:
    frame = series("h")
    known = frame.groupby("unique_id").head(60)
    new = frame[frame["ds"] > known["ds"].max()]
    first, second = (ForecastStream(small(layer=layer).fit(known), [80, 95]) for _ in range(2))
    values = new.pivot(index="ds", columns="unique_id", values="y").to_numpy(copy=True)
    values[np.random.default_rng(1).random(values.shape) < missing] = np.nan
    values[7, 1] = np.nan
    ticks = as_ticks(pd.Series(np.sort(new["ds"].unique())))
    assert first.goes_on(ticks) == len(ticks)
    one_by_one = [second.push(np.arange(3), np.full(3, tick), row) for tick, row in zip(ticks, values, strict=True)]
    parts, begin = [], 0
    for size in (1, 20, 2, len(ticks)):
        here = slice(begin, begin + size)
        parts.append(first.follow(np.repeat(ticks[here, None], 3, 1), values[here]))
        begin += size
    for name in one_by_one[0].columns:
        np.testing.assert_allclose(
            np.concatenate([part.columns[name] for part in parts]),
            np.concatenate([part.columns[name] for part in one_by_one]),
            rtol=1e-4,
            atol=1e-4,
        )
    np.testing.assert_allclose(
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.score for part in one_by_one]),
        rtol=1e-3,
        atol=1e-3,
    )


def test_a_single_series_without_a_grid_is_followed_row_by_row(small: Small) -> None:
    frame = series("h", 1)
    late = np.random.default_rng(0).integers(1, 50, len(frame))
    frame = frame.assign(ds=frame["ds"] + pd.to_timedelta(late, unit="min"))
    known, new = frame.iloc[:60], frame.iloc[60:80]
    first, second = (ForecastStream(small().fit(known, freq="irregular"), [80]) for _ in range(2))
    ticks, values = as_ticks(new["ds"]), new["y"].to_numpy()
    found = first.follow(ticks[:, None], values[:, None])
    rows = [second.push(np.zeros(1, int), ticks[i : i + 1], values[i : i + 1]) for i in range(len(new))]
    for name, want in found.columns.items():
        np.testing.assert_allclose(want, np.concatenate([row.columns[name] for row in rows]), rtol=1e-4)


def test_what_is_expected_is_what_predict_says(small: Small) -> None:
    frame = series("h")
    known = frame.groupby("unique_id").head(60)
    fc = small().fit(known)
    want = fc.predict(h=1, level=[80])
    stream = ForecastStream(fc, [80])
    rows = frame[frame["ds"] == frame["ds"].unique()[60]]
    found = stream.push(*rows_of(stream, rows))
    for name, values in found.columns.items():
        np.testing.assert_allclose(values, want[name], rtol=1e-5)


def test_scores_are_standard_normal_where_the_forecast_is_right_and_large_where_it_is_not() -> None:
    rng, steps = np.random.default_rng(3), 3000
    noise = np.zeros(steps)
    for step in range(1, steps):
        noise[step] = 0.8 * noise[step - 1] + rng.normal()
    frame = pd.DataFrame({"unique_id": "a", "ds": np.arange(steps), "y": noise})
    fc = Forecaster(1, 24, max_steps=300, batch_size=64, d_model=8, n_layers=1, d_state=8, verbose=False)
    stream = ForecastStream(fc.fit(frame.iloc[:2000], 1))
    values = noise[2000:].copy()
    values[600] += 12.0
    score = stream.follow(np.arange(2000, 3000)[:, None], values[:, None]).score
    assert score[600] > 6
    rest = np.delete(score, np.arange(600, 630))
    # 970 scores: the standard error of their deviation is 0.023, of their mean 0.032
    assert abs(rest.std() - 1) < 0.12
    assert abs(rest.mean()) < 0.15
    assert stats.kstest(rest, "norm").statistic < 0.08


def test_the_level_may_move_for_ever(small: Small) -> None:
    """Where a series leaves the level that its window had, it is read again; forecasts follow it."""
    steps = 400
    frame = pd.DataFrame({"unique_id": "a", "ds": np.arange(steps), "y": np.arange(steps) + np.sin(np.arange(steps))})
    fc = small(h=2, input_size=24, transform="none").fit(frame.iloc[:60], 1)
    fc.update(frame.iloc[60:])
    again = small(h=2, input_size=24, transform="none").fit(frame.iloc[:60], 1).predict(frame)
    assert abs(fc.predict()["S4D"].iloc[0] - again["S4D"].iloc[0]) < 10  # of 400 that the level has risen by


def test_the_state_does_not_grow(small: Small) -> None:
    fc = small().fit(series("h").groupby("unique_id").head(60))
    stream = ForecastStream(fc)

    def size() -> int:
        stream.keep()
        return sum(part.numel() for part in fc.live().state_dict().values())

    before = size()
    last = stream.last[:, None] + 3_600_000_000 * np.arange(1, 201)
    stream.follow(last.T, np.zeros((200, 3)))
    assert size() == before


def test_the_forecaster_stays_where_it_is_until_it_is_brought_along(small: Small) -> None:
    fc = small().fit(series("h").groupby("unique_id").head(60))
    before = fc.predict()
    stream = ForecastStream(fc)
    last = stream.last.copy()
    stream.follow((last[:, None] + 3_600_000_000 * np.arange(1, 20)).T, np.ones((19, 3)))
    pd.testing.assert_frame_equal(fc.predict(), before, rtol=1e-5)
    stream.keep()
    moved = fc.predict()
    assert (moved["ds"] - before["ds"] == pd.Timedelta(hours=19)).all()
    stream.follow((last[:, None] + 3_600_000_000 * np.arange(20, 30)).T, np.ones((10, 3)))
    pd.testing.assert_frame_equal(fc.predict(), moved)


@pytest.mark.parametrize("freq", ["h", "MS", 7, "irregular"])
def test_what_is_known_is_told_from_what_comes_too_late(freq: Any, small: Small) -> None:
    frame = series("h" if freq == "irregular" else freq, 2)
    if freq == "irregular":
        frame["ds"] += pd.to_timedelta(np.random.default_rng(0).integers(0, 1800, 240), unit="s")
    kept = frame.drop(index=100)
    stream = ForecastStream(small(input_size=40).fit(kept[kept.index <= 115], freq))
    stream.push(*rows_of(stream, kept[kept.index == 116]))
    before = frame[frame.index <= 116].iloc[::-1]
    known, late = stream.seen(*rows_of(stream, before)[:3])
    at = before.index.to_numpy()
    np.testing.assert_array_equal(late, at == 100)
    np.testing.assert_array_equal(known, (at > 116 - 40 - (freq == "irregular")) & (at != 100))  # 40 steps, or 40 rows
    nothing = np.full(len(before), np.nan)
    assert (stream.seen(*rows_of(stream, before)[:2], nothing)[1] == ((at == 100) & (freq == "irregular"))).all()


def test_a_stamp_off_the_grid_is_refused(small: Small) -> None:
    stream = ForecastStream(small().fit(series("h").groupby("unique_id").head(60)))
    with pytest.raises(InputError, match="does not lie on the grid of freq 'h'"):
        stream.push(np.array([0]), stream.last[:1] + 1_800_000_000, np.zeros(1))
    with pytest.raises(InputError, match="level 100 is not known"):
        ForecastStream(small().fit(series("h").groupby("unique_id").head(60)), [100])
    with pytest.raises(InputError, match="is not fitted"):
        ForecastStream(small())


LINES = [
    ('a,2024-01-01 00:00,1.5,"x"', None),
    ("b,2024-01-01T01:00:00,,x", None),
    ('"a",2024-01-01 02:00,nan,x', None),
    ("c,2024-01-01,1,x", "series 'c' was not there in training"),
    ("a,2024-13-01,1,x", "'ds' holds '2024-13-01', but a date"),
    ("a,now,1,x", "'ds' holds 'now', but a date"),
    ("a,2024-01-01 00:00+01:00,1,x", "has a time zone, unlike those of training"),
    ("a,2024-01-01,one,x", "'y' holds 'one', but a number is expected"),
    ("a,2024-01-01,1e400,x", "'y' is infinite"),
    ("a,2024-01-01,1", "there are 3 fields, but the first line names 4"),
    ("", None),
]


@pytest.mark.parametrize(("line", "problem"), LINES)
def test_lines_of_csv(line: str, problem: str | None) -> None:
    reader = RowReader(Columns(), {"a": 0, "b": 1}, pd.Timestamp("2024-01-01"), "csv")
    reader.read_header("unique_id,ds,y,note")
    rows = reader.read(f"a,2024-01-01,2,\n{line}\nb,2024-01-01,3,\n".encode())
    assert len(rows.problems) == (problem is not None)
    if problem is not None:
        assert rows.problems[3].startswith("line 3: ")
        assert problem in rows.problems[3]
    assert rows.lines.tolist() == ([2, 3, 4] if problem is None and line else [2, 4])
    assert rows.which.tolist()[0] == 0
    assert rows.which.tolist()[-1] == 1
    assert len(rows.which) == 2 + (problem is None and line != "")


OBJECTS = [
    ('{"unique_id": 7, "ds": "2024-01-01", "y": 1}', None),
    ('{"unique_id": 7, "ds": "2024-01-01", "y": null, "more": [1]}', None),
    ('{"unique_id": 7, "ds": "2024-01-01"', "this is no JSON"),
    ("[1, 2]", "this is a list, but an object with unique_id, ds, y is expected"),
    ('{"unique_id": 7, "y": 1}', "'ds' is missing"),
    ('{"unique_id": 7, "ds": "2024-01-01", "Y": 1}', "'y' is missing: give null where nothing was observed"),
    ('{"unique_id": 7, "ds": 3, "y": 1}', "'ds' holds 3, but a date"),
    ('{"unique_id": 7, "ds": "2024-01-01", "y": true}', "'y' holds True, but a number"),
    ('{"unique_id": 7, "ds": "2024-01-01", "y": [1]}', r"'y' holds [1], but a number"),
    ("[" * 100_000, "this is no JSON"),
]


@pytest.mark.parametrize(("line", "problem"), OBJECTS)
def test_lines_of_json(line: str, problem: str | None) -> None:
    rows = RowReader(Columns(), {7: 0}, pd.Timestamp("2024-01-01"), "jsonl").read(line.encode())
    assert [problem in found for found in rows.problems.values()] == ([True] if problem else [])
    assert len(rows.which) == (problem is None)


@pytest.mark.parametrize("stamp", ["7.5", "true", "null", '"7.5"'])
def test_a_number_that_is_not_whole_is_no_stamp(stamp: str) -> None:
    reader = RowReader(Columns(), {7: 0}, 5, "jsonl")
    rows = reader.read(f'{{"unique_id": 7, "ds": {stamp}, "y": 1}}\n{{"unique_id": 7, "ds": 8, "y": 1}}'.encode())
    assert rows.ticks.tolist() == [8]
    assert "but a whole number is expected" in rows.problems[1]


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_value_without_what_is_to_be_known_beforehand_cannot_be_used(kind: str, alone: bool) -> None:
    """It would pass for one whose covariates are at their mean; without a value it is a gap like others."""
    reader = RowReader(Columns(hist=("kept",), futr=("price",)), {"a": 0}, 0, kind)
    reader = _alone(reader) if alone else reader
    if kind == "csv":
        reader.read_header("unique_id,ds,y,kept,price")
        text = "a,1,2,3,4\na,2,2,,4\na,3,2,3,\na,4,,3,\n"
    else:
        row = '{{"unique_id": "a", "ds": {}, "y": {}, "kept": {}, "price": {}}}\n'
        text = "".join(
            row.format(*p) for p in ((1, 2, 3, 4), (2, 2, "null", 4), (3, 2, 3, "null"), (4, "null", 3, "null"))
        )
    rows = reader.read(text.encode())
    assert rows.ticks.tolist() == [1, 2, 4]
    (problem,) = rows.problems.items()
    assert problem[0] == 3 + (kind == "csv")
    assert "'price' is missing, but what is in futr_exog_list is to be known beforehand" in problem[1]


def _alone(reader: RowReader) -> RowReader:
    """Return a reader that reads line by line, as where there is no compiled core."""
    reader._lines = None
    return reader


def _same(one: LiveRows, other: LiveRows) -> None:
    for name in ("which", "ticks", "values", "beside"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.problems == other.problems


def test_many_lines_at_once_are_the_lines_one_by_one() -> None:
    """Whatever stands between plain lines: quotes, gaps, other columns, what is broken, and where."""
    plain = [
        f"{name},{value},2024-01-01 {hour:02}:00,{hour}"
        for hour in range(24)
        for name, value in [("a", 1.5), ("b,c", "")]
    ]
    lines = ['"b,c"' + line[3:] if line.startswith("b") else line for line in plain] + plain[::2] * 40
    lines[60:60] = [
        "",
        " \t",
        "a,1,2024-01-01 05:00",
        "a,1,2024-01-01 05:00,1,2",
        "a,x,2024-01-01 05:00,1",
        "a,inf,2024-01-01 05:00,1",
        "a,NaN,2024-01-01 05:00,1e400",
        "z,1,2024-01-01 05:00,1",
    ]
    lines[400:400] = ["a,1,yesterday,1", 'a,1,"2024-01-01 05:00",1', "a,1,2024-01-01 05:00+01:00,1", "a,+1_0, 05,.5"]
    text = "\n".join(lines).encode() + b",\xff\na,1,2024-01-01 05:00,3\r\na,,2024-01-01 05:00,"

    def reader() -> RowReader:
        found = RowReader(Columns(hist=("kept",)), {"a": 0, "b,c": 1}, pd.Timestamp("2024-01-01"), "csv")
        found.read_header("unique_id,y,ds,kept")
        return found

    some, one = reader(), _alone(reader())
    whole, alone = some.read(text), one.read(text)
    assert some.line == one.line == len(lines) + 3
    _same(whole, alone)
    assert whole.told.pieces() == alone.told.pieces()
    assert len(whole.problems) == 10
    assert whole.told.pieces()[1] == b'"b,c",2024-01-01 00:00,'
    assert len(some.read(b"").which) == len(one.read(b"").which) == 0
    assert some.line == one.line


def test_many_objects_at_once_are_the_objects_one_by_one() -> None:
    """The order of their names, what else they hold, escapes, and what is broken do not matter."""
    rows = [{"unique_id": i % 2, "ds": f"2024-01-01 {i % 24:02}:00", "y": i / 7, "kept": -i} for i in range(100)]
    lines = [json.dumps(row) for row in rows]
    lines[30:30] = [
        '{"y":1.50,"more":"x","unique_id":"1","flag":true,"ds":"2024-01-01 05:00","none":null,"kept":null}',
        ' { "y" : 1 ,\t"unique_id":1, "ds":"2024-01-01", "kept":5 } ',
        '{"unique_id": 1, "ds": "2024-01-01", "y": 1, "y": null, "kept": 2, "kept": 3}',
        '{"unique_id": 1, "ds": "2024\\u002d01-01", "y": 1, "kept": "2"}',
        '{"unique_id": 1, "ds": "2024-01-01", "y": NaN, "kept": 1, "deep": {"y": [3]}}',
        *[
            f'{{"unique_id": 1, "ds": "2024-01-01", "kept": 1, "y": {value}}}'
            for value in ["01", "1.", ".5", "-0", "1e5", "1E+5", "1e400", "x", "''", "tru"]
        ],
        *[
            f'{{"unique_id": {name}, "ds": "2024-01-01", "y": 1, "kept": 1}}'
            for name in ("1.0", "null", "true", "2", "[]")
        ],
        *[
            f'{{"unique_id": 1, "ds": {stamp}, "y": 1, "kept": 1}}'
            for stamp in ("5", "null", "true", '"now"', '"2024-01-01')
        ],
        '{"unique_id": 1, "ds": "2024-01-01", "kept": 1, "y": 1}}',
        '{"unique_id": 1, "ds": "2024-01-01", "kept": 1, "y": 1},',
        '{"unique_id": 1, "ds": "2024-01-01" "y": 1}',
        '{"unique_id": 1, "ds": "2024-01-01", "y": 1',
        '{"unique_id": 1}{"ds": "2024-01-01"}',
        '{"unique_id": 1, "ds": "2024-01-01", "y": 1}',
        "{}",
        "",
        "7",
    ]

    def reader() -> RowReader:
        return RowReader(Columns(hist=("kept",)), {1: 0, 0: 1}, pd.Timestamp("2024-01-01"), "jsonl")

    text = "\n".join(lines).encode()
    some, one = reader(), _alone(reader())
    whole, alone = some.read(text), one.read(text)
    _same(whole, alone)
    assert some.line == one.line == len(lines)
    assert len(whole.which) == 100 + 5 + 3
    for mine, theirs in zip(whole.told.pieces(), alone.told.pieces(), strict=True):
        assert json.loads(mine + b"}") == json.loads(theirs + b"}")


def _numbers() -> np.ndarray:
    """Return numbers of all sizes, next to ties of their seventh digit, and that are no numbers."""
    rng = np.random.default_rng(0)
    sizes = rng.normal(size=4000) * 10.0 ** rng.integers(-30, 30, 4000)
    ties = (rng.integers(10**6, 10**7, 4000) + 0.5) * 10.0 ** rng.integers(-12, 9, 4000)
    whole = rng.integers(-(10**9), 10**9, 2000) / 10.0 ** rng.integers(0, 9, 2000)
    powers = 10.0 ** np.arange(-20, 20)
    strange = [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7e308, 9999999.5, 999999.95, 1e-5, 0.0001, 123456.7]
    return np.concatenate([sizes, ties, np.nextafter(ties, 0), whole, powers, np.nextafter(powers, 0), strange])


def test_numbers_are_read_to_the_last_bit() -> None:
    numbers = _numbers()
    numbers = numbers[np.isfinite(numbers)]
    texts = [
        form(value) for value in numbers.tolist() for form in (repr, "%.5f".__mod__, "%.3e".__mod__, "%.17e".__mod__)
    ]
    reader = RowReader(Columns(), {"a": 0}, 1, "csv")
    reader.read_header("unique_id,ds,y")
    found = reader.read("".join(f"a,1,{text}\n" for text in texts).encode())
    np.testing.assert_array_equal(found.values, [float(text) for text in texts])
    assert not found.problems


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_numbers_are_written_as_python_writes_them(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = _numbers()
    told = Told.of([b"%d" % i for i in range(len(numbers))]).some(np.arange(len(numbers))[::-1])
    columns = {"ü%": numbers, "score": numbers[::-1], "anomaly": numbers > 0}
    writer = RowWriter(Columns(), kind)
    found = writer.rows(told, columns)
    monkeypatch.setattr("statespace.kernels.native.why_missing", lambda: "not there")
    assert found == writer.rows(told, columns)
    if kind == "csv":
        assert found.splitlines()[0] == "14091,1257.302,1.235e+05,1"
    else:
        first, *_, last = (line.split(", ", 1)[1] for line in found.splitlines())
        assert json.loads("{" + first) == {"ü%": 1257.302, "score": 1.235e5, "anomaly": True}
        assert "inf" not in found
        assert last == '"ü%": 123456.7, "score": 1257, "anomaly": true}'


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("stamps", "begun"),
    [("1 1 1 2 2", 2), ("1 1 1", 0), ("1 1 1 2 2 2", 0), ("", 0), ("1 2 1 2 2", 2), ("1 1 1 1 1 2", 1), ("1 1 1 1", 0)],
)
def test_rows_of_a_stamp_that_has_begun(stamps: str, begun: int, kind: str) -> None:
    reader = RowReader(Columns(), {"a": 0, "b": 1, "c": 2}, 1, kind)
    form = "a,%s,0\n" if kind == "csv" else '{"unique_id": "a", "ds": %s, "y": 0}\n'
    if kind == "csv":
        reader.read_header("unique_id,ds,y")
    text = "".join(form % stamp for stamp in stamps.split()).encode()
    assert reader.begun(text) == begun * (len(form) - 1)
    assert reader.begun(text.removesuffix(b"\n")) == max(0, begun * (len(form) - 1) - 1)


def test_a_header_without_a_column_is_refused() -> None:
    reader = RowReader(Columns(), {"a": 0}, 1, "csv")
    with pytest.raises(InputError, match="the first line must name one column 'ds', but it names unique_id, y"):
        reader.read_header("unique_id,y")


def test_gradients_are_not_recorded(small: Small) -> None:
    fc = small().fit(series("h").groupby("unique_id").head(60))
    fc.update(series("h").groupby("unique_id").tail(60))
    assert not any(part.requires_grad for part in fc.live().state_dict().values())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("value", [1e20, -1e39, 1.7e308])
def test_a_value_of_any_size_is_an_anomaly_and_no_nan_after_it(small: Small, value: float) -> None:
    df = series("h", 2, 80)
    fc = small(4, hist_exog_list=["price"]).fit(df[df["ds"] < df["ds"].iloc[60]])
    live = ForecastStream(fc, 95)
    rows = df[df["ds"] >= df["ds"].iloc[60]].sort_values(["ds", "unique_id"])
    ticks = np.array(as_ticks(rows["ds"])).reshape(20, 2)
    values, beside = rows["y"].to_numpy().reshape(20, 2).copy(), rows[["price"]].to_numpy().reshape(20, 2, 1).copy()
    values[3, 0] = beside[5, 0, 0] = value
    found = live.follow(ticks, values, beside)
    assert all(np.isfinite(part).all() for part in found.columns.values())
    assert abs(found.score[6]) == 1000
    assert np.isfinite(found.score).all()
    live.keep()
    assert np.isfinite(fc.predict()["S4D"]).all()
    one = small(4, hist_exog_list=["price"]).fit(df[df["ds"] < df["ds"].iloc[60]])
    spoilt = rows.assign(y=values.reshape(-1), price=beside.reshape(-1))
    assert np.isfinite(one.update(spoilt.sort_values(["unique_id", "ds"])).predict()["S4D"]).all()


def test_the_unit_of_a_stream_does_not_matter(small: Small) -> None:
    df = series("h", 2, 80)
    scores = []
    for unit in (1.0, 1e300):
        given = df.assign(y=df["y"] * unit)
        fc = small(4).fit(given[given["ds"] < given["ds"].iloc[60]])
        rows = given[given["ds"] >= given["ds"].iloc[60]].sort_values(["ds", "unique_id"])
        ticks, values = np.array(as_ticks(rows["ds"])).reshape(20, 2), rows["y"].to_numpy().reshape(20, 2)
        scores.append(ForecastStream(fc).follow(ticks, values).score)
    np.testing.assert_allclose(*scores, atol=1e-3)


def wave(steps: int, seed: int = 0) -> pd.DataFrame:
    time = np.arange(steps)
    y = np.sin(time * np.pi / 6) + 0.1 * np.random.default_rng(seed).normal(size=steps)
    return pd.DataFrame({"unique_id": "a", "ds": time, "y": y})


@pytest.fixture(scope="module")
def waves() -> Forecaster:
    frame = pd.concat([wave(200, seed).assign(unique_id=f"s{seed}") for seed in range(3)])
    return Forecaster(6, input_size=24, season_length=12, max_steps=100, random_seed=0, verbose=False).fit(frame, 1)


def coming(steps: int, spike: int | None = None, shift: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    ticks = np.repeat(np.arange(200, 200 + steps)[:, None], 3, 1)
    values = np.stack([wave(200 + steps, seed)["y"].to_numpy()[200:] for seed in range(3)], 1)
    if spike is not None:
        values[spike, 1] += 15
    if shift is not None:
        values[shift:, 2] += 4
    return ticks, values


def test_with_a_bound_a_spike_leaves_little_behind(waves: Forecaster) -> None:
    free, bounded = (ForecastStream(waves, bound=bound).follow(*coming(40, spike=20)) for bound in (None, 3.0))
    after = slice(21, 30)
    scores = [np.abs(found.score.reshape(40, 3)) for found in (free, bounded)]
    assert all(score[20, 1] > 20 for score in scores)
    assert scores[0][after, 1].max() > 10
    assert scores[1][after, 1].max() < 5
    np.testing.assert_allclose(*(score[:, [0, 2]] for score in scores), atol=1e-3)  # the others do not notice


def test_with_a_bound_rows_together_are_rows_one_by_one(waves: Forecaster) -> None:
    ticks, values = coming(40, spike=7, shift=25)
    values[3, 0] = np.nan
    together, single = (ForecastStream(waves, [80], 3.0) for _ in range(2))
    found = together.follow(ticks, values)
    each = [single.push(np.arange(3), *row) for row in zip(ticks, values, strict=True)]
    np.testing.assert_allclose(found.score, np.concatenate([one.score for one in each]), rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(np.isnan(found.score), np.isnan(values.ravel()))
    for name, column in found.columns.items():
        np.testing.assert_allclose(column, np.concatenate([one.columns[name] for one in each]), atol=1e-4)
    np.testing.assert_array_equal(together.last, single.last)


def test_with_a_bound_a_new_level_is_reached(waves: Forecaster) -> None:
    score = ForecastStream(waves, bound=3.0).follow(*coming(80, shift=10)).score.reshape(80, 3)[:, 2]
    assert np.abs(score[10:14]).min() > 3
    assert np.abs(score[-30:]).max() < 4


@pytest.mark.parametrize("bound", [0.5, 7.0, float("nan"), -3.0])
def test_a_bound_that_is_none_is_refused(waves: Forecaster, bound: float) -> None:
    with pytest.raises(InputError, match=r"ForecastStream: bound is .*a score from 1 to 6 is expected"):
        ForecastStream(waves, bound=bound)
