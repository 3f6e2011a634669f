"""``statespace verify``: what it reads, prints, writes and refuses, and its exit codes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.signal import cont2discrete

from statespace.cli.main import main

A, B, C, D = [[0.0, 1], [-10, -3]], [[0.0], [10]], [[1.0, 0]], [[0.5]]


def write(path: Path, **contents: object) -> str:
    path.write_text(json.dumps(contents), encoding="utf-8")
    return str(path)


@pytest.fixture
def spring(tmp_path: Path) -> str:
    return write(tmp_path / "spring.json", A=A, B=B, C=C, D=D)


def test_a_system_from_json_prints_the_discrete_matrices_and_holds(spring: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["verify", spring, "--dt", "0.01", "--method", "foh"]) == 0
    out = capsys.readouterr().out
    expected = cont2discrete(tuple(map(np.array, (A, B, C, D))), 0.01, "foh")
    printed = [float(word.strip("[]")) for line in out.splitlines()[2:4] for word in line.split() if "." in word]
    np.testing.assert_allclose(printed, expected[0].ravel(), rtol=1e-14)
    assert "foh" in out
    assert "holds" in out


def test_npz_and_polynomials_and_roots_are_read_too(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    np.savez(tmp_path / "s.npz", A=A, B=B, C=C)
    assert main(["verify", str(tmp_path / "s.npz"), "--dt", "0.1", "--method", "impulse", "zoh"]) == 0
    assert main(["verify", "--num", "10", "--den", "1", "3", "10", "--dt", "0.1"]) == 0
    assert (
        main(["verify", write(tmp_path / "tf.json", num=[10], den=[1, 3, 10]), "--dt", "0.1", "--method", "zoh"]) == 0
    )
    assert main(["verify", write(tmp_path / "z.json", z=[], p=[-1, -2], k=3), "--dt", "0.1", "--method", "tustin"]) == 0
    assert main(["verify", "--num", "10", "--den", "1", "3", "--dt", "0.1", "--method", "gbt", "--alpha", "0.7"]) == 0
    assert capsys.readouterr().err == ""


def test_what_editors_and_filters_write_is_read(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    marked = tmp_path / "marked.json"
    marked.write_text(json.dumps({"A": A, "B": B, "C": C, "D": None}), encoding="utf-8-sig")
    assert main(["verify", str(marked), "--dt", "0.1", "--method", "zoh"]) == 0
    roots = write(tmp_path / "roots.json", z=[], p=["-1+2j", "-1-2j"], k=5)
    assert main(["verify", roots, "--dt", "0.1", "--method", "zoh"]) == 0
    printed = capsys.readouterr().out
    assert str(np.exp(-0.1) * np.sin(0.2) / 2)[:12] in printed  # an entry of exp(A dt) for poles at -1 ± 2j
    assert main(["verify", "--num", "-1e-3", "--den", "1", "-2e0", "--dt", "0.1", "--method", "zoh", "tustin"]) == 0
    assert "not stable: its stability margin is -2 1/s" in capsys.readouterr().out


def test_scipy_may_fail_altogether(capsys: pytest.CaptureFixture) -> None:
    assert main(["verify", "--num", "1", "--den", "1", "1", "--dt", "1e-300", "1e300", "--method", "zoh"]) in (0, 1)
    assert "zoh" in capsys.readouterr().out


def test_the_table_and_the_picture_are_written(spring: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["verify", spring, "--dt", "0.01", "0.1", "--out", str(out)]) == 0
    table = pd.read_csv(out / "verify.csv")
    assert table["holds"].all()
    assert set(table["dt"]) == {0.01, 0.1}
    assert (out / "verify.png").read_bytes().startswith(b"\x89PNG")


def test_the_exit_code_tells_that_something_does_not_hold(
    spring: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    import statespace.verification.comparison as comparison

    monkeypatch.setattr(
        comparison, "scipy_discrete", lambda *given: [2 * m for m in comparison._discretised(given[:4], *given[4:])]
    )
    monkeypatch.setattr(comparison, "exact_discrete", comparison.scipy_discrete)
    assert main(["verify", spring, "--dt", "0.01", "--method", "zoh"]) == 1
    assert "What does not hold" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no.json", "--dt", "1"], "there is no such file"),
        ([".", "--dt", "1"], "folder"),
        (["{spring}"], "--dt is missing"),
        (["{spring}", "--dt", "0"], "dt is 0.0"),
        (["{spring}", "--dt", "nan"], "positive finite time step"),
        (["{spring}", "--dt", "1", "--method", "zho"], "Did you mean 'zoh'"),
        (["{spring}", "--dt", "1", "--method", "gbt"], "alpha is missing"),
        (["{spring}", "--dt", "1", "--method", "gbt", "--alpha", "2"], "alpha is 2.0"),
        (["{spring}", "--dt", "1", "--method", "impulse"], "D is not 0"),
        (["--num", "1", "--dt", "1"], "--den is missing"),
        (["{spring}", "--num", "1", "--den", "1", "--dt", "1"], "leave one of them out"),
        (["--alpha", "0.5"], "--alpha belongs to a system"),
        (["{missing}", "--dt", "1"], "the key 'B' is missing beside 'A', 'C'"),
        (["{complex}", "--dt", "1"], "real numbers"),
        (["{ragged}", "--dt", "1"], "A is"),
        (["{broken}", "--dt", "1"], "is not JSON"),
        (["{array}", "--dt", "1"], "an object is expected"),
        (["{tall}", "--dt", "1"], "A must be square"),
        (["{infinite}", "--dt", "1"], "NaN or infinity"),
        (["{discrete}", "--dt", "1"], "nothing is left to discretise"),
        (["{descriptor}", "--dt", "1"], "the key 'E' is not known"),
        (["{null}", "--dt", "1"], "A holds null"),
        (["{gains}", "--dt", "1"], "one number is expected"),
        (["{paired}", "--dt", "1"], "one list is expected"),
        (["{static}", "--dt", "1"], "no state"),
        (["system.mat", "--dt", "1"], ".json or .npz is read"),
        (["{text}", "--dt", "1"], "numpy.savez"),
        (["--num", "nan", "--den", "1", "2", "--dt", "1"], "NaN"),
        (["--num", "1", "--den", "1", "2", "--dt", "-1e-3"], "dt is -0.001"),
        (
            ["--num", "1", "--den", "1", "-1000", "--dt", "1", "--method", "zoh"],
            "stability margin of the system is -1e+03",
        ),
        (["{spring}", "--dt", "1", "--out", "{spring}"], "--out"),
    ],
)
def test_what_is_refused_with_one_sentence(
    arguments: list[str], sentence: str, spring: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    files = {
        "spring": spring,
        "missing": write(tmp_path / "missing.json", A=A, C=C),
        "complex": write(tmp_path / "complex.json", A=[["1j"]], B=[[1]], C=[[1]]),
        "ragged": write(tmp_path / "ragged.json", A=[[1, 2], [3]], B=[[1]], C=[[1]]),
        "tall": write(tmp_path / "tall.json", A=[[1], [3]], B=[[1]], C=[[1]]),
        "infinite": write(tmp_path / "infinite.json", A=[[float("inf")]], B=[[1]], C=[[1]]),
        "discrete": write(tmp_path / "discrete.json", A=A, B=B, C=C, dt=0.5),
        "descriptor": write(tmp_path / "descriptor.json", A=A, B=B, C=C, E=A),
        "null": write(tmp_path / "null.json", A=None, B=B, C=C),
        "gains": write(tmp_path / "gains.json", z=[], p=[-1], k=[1, 2]),
        "paired": write(tmp_path / "paired.json", z=[], p=[[-1, 2], [-1, -2]], k=1),
        "static": write(tmp_path / "static.json", num=[1], den="1"),
        "text": str(tmp_path / "text.npz"),
        "broken": str(tmp_path / "broken.json"),
        "array": str(tmp_path / "array.json"),
    }
    Path(files["text"]).write_text("A = 1", encoding="utf-8")
    Path(files["broken"]).write_text("{", encoding="utf-8")
    Path(files["array"]).write_text("[1, 2]", encoding="utf-8")
    assert main(["verify", *(argument.format(**files) for argument in arguments)]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1
