"""``statespace demo``: the three jobs, cut short, and where the pictures are."""

from pathlib import Path

import pytest

from statespace.cli import demo
from statespace.cli.main import main


def test_the_demo_forecasts_the_bundled_series_and_says_where_the_pictures_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo, "_STEPS", 2)
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    out = capsys.readouterr().out
    for name in ("airline", "co2", "sunspots"):
        folder = tmp_path / "demo" / name
        written = {path.name for path in folder.iterdir()}
        assert written == {f"{name}.png", "forecast.csv", "metrics.json", "model"}
        assert str(folder / f"{name}.png") in out


def test_a_place_that_cannot_be_written_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert main(["demo", "--out", str(tmp_path / "file")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "is a file, but a folder is to be written" in err
    assert err.count("\n") == 1
