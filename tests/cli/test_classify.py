"""``statespace classify`` from outside: what it writes, and one sentence and exit code 2 for whatever it cannot use."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
from scipy.io import wavfile
from scipy.signal import resample_poly

from statespace import Classifier
from statespace.cli.classify import _left_out
from statespace.cli.main import main
from statespace.datasets import read_recordings

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--systems", "40", "--quiet")
HERTZ = {"high": 900, "low": 200}


def tone(hertz: float, rate: int = 8000, seconds: float = 0.06, channels: int = 1) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(int(hertz)).standard_normal((channels, len(t)))
    return 0.5 * np.sin(2 * np.pi * hertz * t) + 0.02 * noise


def pcm(samples: np.ndarray) -> bytes:
    return np.round(samples.T * 2**15).astype("<i2").tobytes()


def wav(path: Path, samples: np.ndarray, rate: int = 8000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm(samples))


def fill(folder: Path, count: int = 5, first: int = 0, rate: int = 8000) -> str:
    for label, hertz in HERTZ.items():
        for number in range(first, first + count):
            wav(folder / label / f"{number}.wav", tone(hertz + 5 * number, rate), rate)
    return str(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fill(tmp_path_factory.mktemp("data") / "train")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fill(tmp_path_factory.mktemp("data") / "test", 3, first=20)


@pytest.fixture(scope="module")
def model(data: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A causal model at 8000 Hz."""
    folder = str(tmp_path_factory.mktemp("models") / "causal")
    assert main(["classify", "train", data, "--out", folder, "--causal", *QUICK]) == 0
    return folder


@pytest.fixture
def run(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in this process, in an empty folder; return its code, stdout and stderr."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def call(*arguments: str, given: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))
        return command("classify", *arguments)

    return call


# ------------------------------------------------------------------------------------------------------ what is right


def test_train_predict_and_eval(run: Run, data: str, other: str) -> None:
    code, out, err = run("train", data, "--systems", "40", "--seed", "3")
    assert (code, err) == (0, "")
    assert "10 recordings, 2 classes, channels: 1, 8000 Hz" in out
    assert "100.0% right of 10 that were left out when they were judged\nwritten to" in out
    assert sorted(os.listdir("model")) == ["model.json", "weights.safetensors"]
    fitted = Classifier.load("model")
    assert (fitted.sampling_rate_, fitted.systems, fitted.random_seed) == (8000, 40, 3)

    code, out, err = run("predict", "model/", other)
    assert (code, err) == (0, "")
    table = pd.read_csv(io.StringIO(out))
    assert list(table) == ["name", "label", "probability", "p_high", "p_low"]
    assert table["name"].tolist() == [f"{label}/{number}.wav" for label in HERTZ for number in (20, 21, 22)]
    assert table["label"].tolist() == ["high"] * 3 + ["low"] * 3
    assert run("predict", "model/", other, "--out", "found.csv", "--quiet") == (0, "", "")
    np.testing.assert_allclose(pd.read_csv("found.csv").iloc[:, 2:], table.iloc[:, 2:], atol=1e-6)

    adapted = fitted.adapted(read_recordings(other).signals).predict_proba(read_recordings(other).signals)
    assert run("predict", "model/", other, "--adapt", "--out", "a.csv", "--quiet") == (0, "", "")
    np.testing.assert_allclose(pd.read_csv("a.csv")[["p_high", "p_low"]], adapted, atol=1e-6)
    plain = fitted.predict_proba(read_recordings(other).signals)
    assert np.abs(np.log(adapted.clip(1e-30) / plain.clip(1e-30))).max() > 0.1
    code, out, err = run("predict", "model/", f"{other}/low/20.wav", "--adapt")
    assert (code, out) == (2, "")
    assert "--adapt needs at least 2 recordings of one rate" in err
    assert run("train", data, "--systems", "20", "--trim", "--out", "trimmed/", "--quiet") == (0, "", "")
    assert Classifier.load("trimmed").trim is True

    code, out, err = run("eval", "model/", other, "--out", "r")
    assert (code, err) == (0, "")
    assert "accuracy 1" in out
    assert "report.html" in out
    assert "attribution.png" in out
    assert json.loads(Path("r/metrics.json").read_text())["accuracy"] == 1


def test_a_network_and_groups_and_splits_from_a_table(run: Run, data: str) -> None:
    rows = [
        (f"{label}/{n}.wav", label, f"speaker {n}", "test" if n == 4 else "train") for label in HERTZ for n in range(5)
    ]
    path = Path(data) / "list.csv"
    pd.DataFrame(rows, columns=["path", "label", "group", "split"]).to_csv(path, index=False)
    network = ("--layer", "s4d", "--d-model", "8", "--n-layers", "1", "--d-state", "8", "--max-epochs", "2")
    code, out, _ = run("train", str(path), *network, "--balanced", "--checkpoint", "run.ckpt")
    assert code == 0
    assert not Path("run.ckpt").exists()  # training has ended
    assert "8 recordings, 2 classes" in out
    code, out, _ = run("eval", "model", str(path))
    assert code == 0
    assert "cases 2" in out
    assert "cases 8" in run("eval", "model", str(path), "--split", "train")[1]
    pd.DataFrame(rows, columns=["path", "label", "group", "split"]).replace({"train": "Train", "test": "TEST"}).to_csv(
        path, index=False
    )
    assert "8 recordings, 2 classes" in run("train", str(path), "--systems", "9")[1]
    assert "cases 2" in run("eval", "model", str(path))[1]
    assert "cases 8" in run("eval", "model", str(path), "--split", "train")[1]
    pd.DataFrame(rows, columns=["path", "label", "group", "split"]).replace("train", "a").replace("test", "b").to_csv(
        path, index=False
    )
    for job, wanted in ((("train",), "train"), (("eval", "model"), "test")):
        code, out, err = run(*job, str(path))
        assert (code, out) == (2, "")
        assert f"has no split '{wanted}', but a, b: name one of these by --split" in err
    assert "8 recordings" in run("train", str(path), "--systems", "9", "--split", "a")[1]
    path.unlink()


@pytest.mark.parametrize("rate", [4000, 16000])
def test_another_rate_is_resampled_or_scaled(run: Run, model: str, tmp_path: Path, rate: int) -> None:
    source = fill(tmp_path / "other", 2, 6, rate)
    code, out, err = run("predict", model, source)
    assert code == 0
    assert err == f"note: read_recordings: 4 of 4 recordings were resampled to 8000 Hz: 4 at {rate} Hz.\n"
    resampled = pd.read_csv(io.StringIO(out))
    signals = [np.frombuffer(pcm(tone(HERTZ[label] + 5 * n, rate)), "<i2") / 2**15 for label in HERTZ for n in (6, 7)]
    want = Classifier.load(model).predict_proba([resample_poly(x, 8000, rate, padtype="line") for x in signals])
    np.testing.assert_allclose(resampled.iloc[:, 3:], want, atol=1e-4)
    code, out, err = run("predict", model, source, "--rates", "scale")
    assert (code, err) == (0, "")
    scaled = pd.read_csv(io.StringIO(out))
    want = Classifier.load(model).predict_proba([x.astype(np.float32) for x in signals], 8000 / rate)
    np.testing.assert_allclose(scaled.iloc[:, 3:], want, atol=1e-4)
    assert scaled["label"].tolist() == ["high"] * 2 + ["low"] * 2
    assert run("predict", model, source, "--rates", "refuse")[0] == 2


def test_arrays_have_the_rate_that_is_said(run: Run, model: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", tone(900, 16000))
    said = pd.read_csv(io.StringIO(run("predict", model, str(tmp_path / "a.npy"), "--rate", "16000")[1]))
    assert said["label"].tolist() == ["high"]
    assert "not known" in run("train", archive(tmp_path), "--systems", "9")[1]
    assert Classifier.load("model").sampling_rate_ is None
    assert run("train", archive(tmp_path), "--rate", "50", *QUICK) == (0, "", "")
    assert Classifier.load("model").sampling_rate_ == 50


def archive(folder: Path) -> str:
    path = folder / "a.tsv"
    rows = [[str(k % 2), *(f"{value:.4f}" for value in tone(HERTZ["low"] * (1 + k % 2) + k)[0, :80])] for k in range(8)]
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    return str(path)


def test_a_class_that_is_missed_is_named_with_what_helps(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = ["common"] * 60 + ["rare"] * 8
    rows = ["\t".join([label, *map(str, rng.standard_normal(40) + 0.3 * (label == "rare"))]) + "\n" for label in labels]
    (tmp_path / "a.tsv").write_text("".join(rows))

    def trained(*options: str) -> tuple[str, float]:
        """What is printed, and the share of the rare class that was told right when left out."""
        code, out, err = run("train", str(tmp_path / "a.tsv"), "--systems", "40", *options)
        assert (code, err) == (0, "")
        model = Classifier.load("model")
        truth = np.array(labels)[model.validation_rows_]
        told = model.classes_[model.validation_scores_.argmax(1)]
        return out, float((told[truth == "rare"] == "rare").mean())

    out, share = trained()
    assert share < 0.4
    assert f"of class 'rare' {share:.1%} right, {share * 8:.0f} of 8: --balanced gives each class" in out
    out, again = trained("--balanced")
    assert again > share
    assert "of class" not in out


@pytest.mark.parametrize(
    ("labels", "said", "balanced", "line"),
    [
        ("aaaaab", "aaaaaa", False, "of class 'b' 0.0% right, 0 of 1: --balanced gives each class"),
        ("aaaaab", "aaaaaa", True, "of class 'b' 0.0% right, 0 of 1"),
        ("abbbccc", "abbbbbb", False, "of class 'c' 0.0% right, 0 of 3"),  # as many as of others: weights are no help
        ("abcabc", "abccab", False, ""),  # all alike
    ],
)
def test_balanced_is_advised_where_it_helps(labels: str, said: str, balanced: bool, line: str) -> None:
    classes = np.unique(list(labels))
    scores = (np.array(list(said))[:, None] == classes) * 1.0
    model = SimpleNamespace(classes_=classes, validation_rows_=np.arange(len(labels)), validation_scores_=scores)
    found = _left_out(cast(Classifier, model), list(labels), balanced)
    assert "".join(found[1:]).startswith(line)
    assert len(found) == 1 + bool(line)
    assert ("--balanced" in "".join(found)) == ("--balanced" in line)


def test_a_model_knows_whole_numbers_however_they_are_written(run: Run, tmp_path: Path) -> None:
    source = archive(tmp_path)
    np.savetxt(tmp_path / "saved.tsv", np.loadtxt(source), delimiter="\t", fmt="%.3e")
    assert run("train", source, *QUICK) == (0, "", "")
    code, out, err = run("eval", "model", str(tmp_path / "saved.tsv"))
    assert (code, err) == (0, "")
    assert "cases 8" in out


def test_recordings_of_a_regression_are_predicted_like_any_others(run: Run, tmp_path: Path) -> None:
    source = Path(archive(tmp_path))
    rows = [line.split("\t") for line in source.read_text().splitlines()]
    numbers = tmp_path / "numbers.ts"
    numbers.write_text(
        "@targetlabel true\n@data\n" + "".join(f"{','.join(row)}:{n}.5\n" for n, (_, *row) in enumerate(rows))
    )
    assert run("train", str(source), *QUICK) == (0, "", "")
    assert run("predict", "model", str(numbers)) == run("predict", "model", str(source))
    for job in (("train",), ("eval", "model")):
        code, out, err = run(*job, str(numbers))
        assert (code, out) == (2, "")
        assert "numbers.ts' holds numbers to be found, not classes: take Regressor" in err


# --------------------------------------------------------------------------------------------------------------- live


def lines(out: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(out))


def test_a_stream_says_what_the_whole_says(run: Run, model: str) -> None:
    samples = tone(880, seconds=0.5)
    code, out, err = run("stream", model, "--every", "0.2", given=pcm(samples))
    assert (code, err) == (0, "")
    found = lines(out)
    assert list(found) == ["seconds", "label", "p_high", "p_low"]
    assert found["seconds"].tolist() == [0.2, 0.4, 0.5]
    heard = np.frombuffer(pcm(samples), "<i2").astype(np.float32) / 2**15
    for end, row in zip((1600, 3200, 4000), found.itertuples(), strict=True):
        want = Classifier.load(model).predict_proba(heard[None, None, :end])[0]
        np.testing.assert_allclose([row.p_high, row.p_low], want, atol=2e-5)


def test_a_stream_of_wav_at_its_own_rate_and_from_anew(run: Run, model: str, tmp_path: Path) -> None:
    both = np.concatenate([tone(900, 16000, 0.3), tone(200, 16000, 0.3)], 1)
    wav(tmp_path / "a.wav", both, 16000)
    data = (tmp_path / "a.wav").read_bytes()
    code, out, err = run("stream", model, "--every", "0.15", "--reset-every", "0.3", given=data)
    assert (code, err) == (0, "")
    assert lines(out)["label"].tolist() == ["high", "high", "low", "low"]
    code, out, _ = run("stream", model, "--every", "0.3", "--rate", "16000", "--format", "pcm", given=data[44:])
    assert lines(out)["label"][0] == "high"
    assert lines(out)["seconds"].tolist() == [0.3, 0.6]


@pytest.mark.parametrize("width", [1, 3, 4])
def test_a_stream_of_any_kind_ends_at_what_predict_says(run: Run, model: str, tmp_path: Path, width: int) -> None:
    whole = np.round(tone(880, seconds=0.2)[0] * 2**31).astype("<i4").view(np.uint8).reshape(-1, 4)[:, 4 - width :]
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, width, 8000, 0, "NONE", ""))
        file.writeframes((whole ^ 0x80 if width == 1 else whole).tobytes())  # bytes lie around 128
    code, out, err = run("stream", model, given=(tmp_path / "a.wav").read_bytes())
    assert (code, err) == (0, "")
    want = lines(run("predict", model, str(tmp_path / "a.wav"))[1])
    np.testing.assert_allclose(lines(out).iloc[-1:, 2:].astype(float), want.iloc[:, 3:], atol=2e-5)


def test_a_stream_of_floating_point_is_as_of_whole_numbers(run: Run, model: str, tmp_path: Path) -> None:
    wav(tmp_path / "a.wav", tone(880, seconds=0.2))
    whole = (tmp_path / "a.wav").read_bytes()
    wavfile.write(tmp_path / "f.wav", 8000, (np.frombuffer(whole[44:], "<i2") / 2**15).astype(np.float32))
    assert run("stream", model, given=(tmp_path / "f.wav").read_bytes()) == run("stream", model, given=whole)


# ------------------------------------------------------------------------------------------------------ what is wrong


def expect_one_sentence(result: tuple[int, str, str], message: str) -> None:
    code, out, err = result
    assert (code, out) == (2, "")
    assert message in err, err
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    assert os.listdir() == []  # nothing is left behind


def test_training_data_that_cannot_be_used(run: Run, data: str, tmp_path: Path) -> None:
    expect_one_sentence(run("train", "no/such"), "there is no file or folder 'no/such'")
    expect_one_sentence(run("train", f"{data}/low"), "names no classes")
    for number in range(2):
        wav(tmp_path / "one" / "only" / f"{number}.wav", tone(300 + number))
    expect_one_sentence(run("train", str(tmp_path / "one")), "has one class, 'only': at least two are needed")
    (tmp_path / "one" / "empty").mkdir()
    expect_one_sentence(run("train", str(tmp_path / "one")), "hold no recordings ('empty')")
    (tmp_path / "one" / "empty" / "1.wav").write_bytes(b"RIFF")
    expect_one_sentence(run("train", str(tmp_path / "one"), "--quiet"), "is cut short")
    wav(tmp_path / "one" / "empty" / "1.wav", np.zeros((2, 40)))
    expect_one_sentence(run("train", str(tmp_path / "one")), "different numbers of channels (2 with 1, 1 with 2;")


def test_broken_files_are_left_out_if_asked(run: Run, tmp_path: Path) -> None:
    source = fill(tmp_path / "mixed", 3)
    (tmp_path / "mixed" / "low" / "2.wav").write_bytes(b"")
    code, out, err = run("train", source, "--systems", "9", "--unreadable", "skip")
    assert code == 0
    assert err == "note: read_recordings: 1 of 6 recordings cannot be read and were left out: 'low/2.wav'.\n"
    assert "5 recordings" in out


def test_arrays_that_look_transposed_are_told(run: Run, tmp_path: Path) -> None:
    for label, hertz in HERTZ.items():
        for number in range(3):
            (tmp_path / "turned" / label).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / "turned" / label / f"{number}.npy", tone(hertz + number, channels=2).T)
    code, _, err = run("train", str(tmp_path / "turned"), "--systems", "4", "--out", "turned")
    assert code == 0
    assert "note: Classifier.fit: X has 480 channels of at most 2 samples, such as" in err
    np.save(tmp_path / "right.npy", tone(900, channels=2))
    for number in range(2):
        for label in HERTZ:
            np.save(tmp_path / "turned" / label / f"{number}.npy", tone(900, channels=2))
    (tmp_path / "turned" / "high" / "2.npy").unlink()
    (tmp_path / "turned" / "low" / "2.npy").unlink()
    assert run("train", str(tmp_path / "turned"), "--systems", "4", "--quiet")[0] == 0
    np.save(tmp_path / "wrong.npy", tone(900, channels=2).T)
    code, _, err = run("predict", "model", str(tmp_path / "wrong.npy"))
    assert code == 2
    assert "trained on 2: they look transposed, since time is the last axis" in err


def test_silence_cannot_be_trained_on(run: Run, tmp_path: Path) -> None:
    for label in HERTZ:
        wav(tmp_path / "silent" / label / "0.wav", np.zeros((1, 100)))
    expect_one_sentence(run("train", str(tmp_path / "silent")), "every sample of X has the same value")


OPTIONS = {
    "layer": (("--layer", "s9"), "layer is 's9', which is not known"),
    "scaler": (("--scaler-type", "x"), "choose one of channel, instance, none"),
    "not causal": (("--scaler-type", "instance", "--causal"), "looks at the whole signal"),
    "systems": (("--systems", "0"), "systems is 0"),
    "systems x": (("--systems", "x"), "'x' is no whole number"),
    "seed": (("--seed", "-1"), "random_seed is -1"),
    "val size": (("--val-size", "1.5"), "val_size is 1.5"),
    "rate": (("--rate", "-5"), "'-5' is no positive number"),
    "rates": (("--rates", "scale"), "invalid choice: 'scale'"),
    "split": (("--split", "x"), "has no column 'split'"),
    "unknown": (("--what", "x"), "unrecognized arguments: --what"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_an_option_that_cannot_be_used(run: Run, data: str, case: str) -> None:
    options, message = OPTIONS[case]
    expect_one_sentence(run("train", data, "--quiet", *options), message)


def test_no_job_and_an_unknown_one(run: Run) -> None:
    expect_one_sentence(run(), "the following arguments are required: job")
    expect_one_sentence(run("dance"), "invalid choice: 'dance'")


def test_models_that_cannot_be_used(run: Run, model: str, other: str, tmp_path: Path) -> None:
    expect_one_sentence(run("predict", "no", other), "'no' does not exist")
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("model.json", "weights.safetensors"):
        (broken / name).write_bytes(Path(model, name).read_bytes().replace(b"8000", b"9000"))
    expect_one_sentence(run("predict", str(broken), other), "was cut off or changed after it was saved")
    wav(tmp_path / "stereo" / "a.wav", tone(900, channels=2))
    source = str(tmp_path / "stereo")
    expect_one_sentence(run("predict", model, source), "have 2 channels, but the model in")
    assert run("predict", model, source, "--channels", "mono")[0] == 0


def test_classes_that_were_not_trained_on(run: Run, model: str, tmp_path: Path) -> None:
    source = fill(tmp_path / "more", 2, 30)
    wav(tmp_path / "more" / "hum" / "0.wav", tone(50))
    message = "1 of 5 recordings are of 1 classes that were not trained on ('hum': 1)"
    expect_one_sentence(run("eval", model, source), message)
    code, out, err = run("eval", model, source, "--unknown", "skip")
    assert code == 0
    assert message in err
    assert "cases 4" in out
    expect = run("eval", model, f"{source}/hum", "--out", "r2")
    assert expect[0] == 2
    assert "names no classes: use 'classify predict'" in expect[2]


def test_places_that_cannot_be_written(run: Run, model: str, data: str) -> None:
    file = f"{data}/low/0.wav"
    expect_one_sentence(run("train", data, "--out", file), "is a file, but a folder is to be written")
    expect_one_sentence(run("eval", model, data, "--out", file), "is a file, but a folder is to be written")
    expect_one_sentence(run("predict", model, data, "--out", "x.txt"), "use one of .csv")


def test_streams_that_cannot_be(run: Run, model: str, data: str, tmp_path: Path) -> None:
    wav(tmp_path / "a.wav", tone(900, channels=2))
    stereo = (tmp_path / "a.wav").read_bytes()
    expect_one_sentence(run("stream", model), "nothing came through the pipe")
    expect_one_sentence(run("stream", model, given=b"x"), "no whole sample")
    expect_one_sentence(run("stream", model, given=stereo), "has 2 channels, but the model was trained on 1")
    expect_one_sentence(run("stream", model, "--rate", "4000", given=stereo), "is at 8000 Hz, but --rate is 4000")
    expect_one_sentence(run("stream", model, given=stereo[:20]), "ends before its samples")
    expect_one_sentence(run("stream", model, "--every", "0"), "'0' is no positive number")
    whole = str(tmp_path / "whole")
    assert run("train", data, "--out", whole, *QUICK)[0] == 0
    expect_one_sentence(run("stream", whole, given=stereo), "fit it with causal=True")


# ------------------------------------------------------------------------------------------------------- real processes


def listening(model: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "statespace.cli.main", "classify", "stream", model, "--every", "0.01"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Jobs in the background of a shell are started deaf to interrupts, and so would be what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.skipif(os.name == "nt", reason="signals are another matter there")
def test_lines_come_at_once_and_an_interrupt_ends_them(model: str) -> None:
    process = listening(model)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(pcm(tone(900, seconds=0.02)))
    process.stdin.flush()
    assert process.stdout.readline() == b"seconds,label,p_high,p_low\n"
    assert process.stdout.readline().startswith(b"0.010,high,")  # while the pipe is open
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == b"interrupted: nothing was written\n"


@pytest.mark.skipif(os.name == "nt", reason="pipes are another matter there")
def test_a_reader_that_goes_away_ends_it(model: str) -> None:
    process = listening(model)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(pcm(tone(900, seconds=0.02)))
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.close()
    process.stdin.write(pcm(tone(900, seconds=1)))
    process.stdin.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()
