"""``statespace fit``: a file becomes a trained model, a killed run is resumed to the same bits, errors are one line."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from statespace.cli.main import main
from statespace.training import TaskModule

CONFIG = {
    "model": {
        "class_path": "statespace.training.TaskModule",
        "init_args": {
            "model": {
                "class_path": "statespace.models.SequenceModel",
                "init_args": {
                    "backbone": {
                        "class_path": "statespace.models.Backbone",
                        "init_args": {"d_model": 8, "n_layers": 1, "dropout": 0.1},
                    },
                    "inputs": 6,
                    "outputs": 6,
                },
            },
            "learning_rate": 0.01,
        },
    },
    "data": {
        "class_path": "statespace.training.TaskDataModule",
        "init_args": {
            "task": {
                "class_path": "statespace.datasets.tasks.SelectiveCopying",
                "init_args": {"length": 12, "memorize": 2, "vocabulary": 6},
            },
            "batch_size": 4,
            "val_batches": 1,
            "test_batches": 2,
        },
    },
    "trainer": {"accelerator": "cpu", "max_steps": 6, "val_check_interval": 2},
}


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return str(path)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint["state_dict"]


def test_a_file_becomes_a_trained_model(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["fit", "--config", config, "--trainer.default_root_dir", str(out)]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0].startswith("step 6: ")
    assert "test_accuracy" in shown.out
    assert f"written to {out}/: config.yaml, curve.csv, checkpoints/last.ckpt" in shown.out
    assert "GPU available" not in shown.out + shown.err  # none of Lightning's banners
    assert "warn" not in shown.err.lower()
    assert sorted(path.name for path in out.iterdir()) == ["checkpoints", "config.yaml", "curve.csv"]
    with (out / "curve.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4", "6"]
    again = tmp_path / "again"  # what was written down is what was run
    options = ["--config", str(out / "config.yaml"), "--quiet", "--trainer.default_root_dir", str(again)]
    assert main(["fit", *options]) == 0
    assert capsys.readouterr() == ("", "")
    assert all(
        torch.equal(one, other) for one, other in zip(weights(out).values(), weights(again).values(), strict=True)
    )


def test_a_killed_run_is_resumed_to_the_same_result(config: str, tmp_path: Path) -> None:
    """A real kill -9 at a random moment after the first checkpoint; dropout and the stream go on where they were."""
    options = ["fit", "--config", config, "--quiet", "--trainer.max_steps", "100", "--trainer.val_check_interval", "20"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(
        [sys.executable, "-m", "statespace.cli.main", *options, "--trainer.default_root_dir", str(killed)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    end = time.monotonic() + 120
    while not (killed / "checkpoints" / "last.ckpt").is_file() and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = torch.load(killed / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert 20 <= before < 100  # it was on its way
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert main([*options, "--trainer.default_root_dir", str(killed), "--resume"]) == 0
        assert main([*options, "--trainer.default_root_dir", str(whole)]) == 0
    finally:
        torch.set_num_threads(threads)
    for (name, one), other in zip(weights(killed).items(), weights(whole).values(), strict=True):
        assert torch.equal(one, other), name
    assert (killed / "curve.csv").read_text() == (whole / "curve.csv").read_text()


def test_two_devices_share_each_batch(tmp_path: Path) -> None:
    """They come to the weights and figures of one but for rounding, though five sequences do not split evenly."""
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    options = ["--config", str(config), "--data.init_args.batch_size", "5", "--trainer.max_steps", "4"]
    options += ["--model.init_args.model.init_args.backbone.init_args.dropout", "0"]
    program, told = [sys.executable, "-m", "statespace.cli.main", "fit", *options], []
    for devices, folder in (("1", alone), ("2", shared)):
        process = subprocess.run(
            [*program, "--trainer.devices", devices, "--trainer.default_root_dir", str(folder)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        (line,) = (line for line in process.stdout.splitlines() if line.startswith("step 4: "))
        told.append([float(part.split()[1]) for part in line.split(": ")[1].split(", ")])
    assert told[1] == pytest.approx(told[0], abs=1e-3)  # printed to four digits
    for (name, one), other in zip(weights(alone).items(), weights(shared).values(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5, msg=name)  # Adam divides by small gradients
    rows = [list(csv.reader((folder / "curve.csv").open())) for folder in (alone, shared)]
    assert rows[0][0] == rows[1][0]
    for one, other in zip(rows[0][1:], rows[1][1:], strict=True):
        assert list(map(float, other)) == pytest.approx(list(map(float, one)), rel=1e-4)


@pytest.mark.parametrize("name", ["selective_copying", "selective_copying_4096", "induction_heads"])
def test_the_examples_train(name: str, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--config", str(repository / "examples" / f"{name}.yaml"), "--trainer.default_root_dir", str(tmp_path)]
    small = {"trainer.max_steps": 1, "trainer.val_check_interval": 1, "data.init_args.task.init_args.length": 20}
    small |= {"data.init_args.batch_size": 2, "data.init_args.val_batches": 1, "data.init_args.test_batches": 1}
    options += [part for option, value in small.items() for part in (f"--{option}", str(value))]
    assert main(["fit", *options, "--trainer.accelerator", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("step 1: test_accuracy ")


@pytest.mark.parametrize("name", ["sequential_mnist", "sequential_mnist_cpu"])
def test_the_examples_of_sequential_mnist_train(
    name: str, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("t10k", 2)):
        images, labels = rng.integers(0, 256, (count, 28, 28)), rng.integers(0, 10, count)
        for kind, data in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
            head = np.array([0x800 + data.ndim, *data.shape], ">u4").tobytes()
            (tmp_path / f"{part}-{kind}").write_bytes(head + data.astype(np.uint8).tobytes())
    options = ["--config", str(repository / "examples" / f"{name}.yaml"), "--trainer.accelerator", "cpu"]
    small = {"trainer.max_steps": 1, "trainer.val_check_interval": 1, "trainer.default_root_dir": tmp_path / "fit"}
    small |= {"data.init_args.batch_size": 2, "data.init_args.task.init_args.folder": tmp_path}
    small |= {"data.init_args.task.init_args.validation": 2}
    options += [part for option, value in small.items() for part in (f"--{option}", str(value))]
    assert main(["fit", *options]) == 0
    assert capsys.readouterr().out.startswith("step 1: test_accuracy ")


def test_an_interrupt_says_how_to_go_on(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: TaskModule, *_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TaskModule, "training_step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    assert main(["fit", "--config", config, "--quiet", "--trainer.default_root_dir", str(tmp_path)]) == 130
    assert capsys.readouterr() == ("", f"interrupted: --resume goes on from the last checkpoint in {tmp_path}/\n")
    signal.signal(signal.SIGINT, before)  # Lightning ignores further ones


def test_a_checkpoint_that_does_not_fit_is_one_line_and_code_2(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["fit", "--config", config, "--quiet", "--trainer.default_root_dir", str(tmp_path)]
    assert main(options) == 0
    last = tmp_path / "checkpoints" / "last.ckpt"
    backbone = "--model.init_args.model.init_args.backbone.init_args"
    assert main([*options, "--resume", f"{backbone}.d_model", "12"]) == 2
    words = f"fit: {str(last)!r} is a checkpoint of another model, where model.into.weight is (6, 8) and not (6, 12): "
    shown = capsys.readouterr().err
    assert shown.startswith(words)
    assert main([*options, "--resume", f"{backbone}.n_layers", "2"]) == 2
    shown += (more := capsys.readouterr().err)
    assert ".blocks.1.norm.weight is missing and not (8,): " in more
    last.write_bytes(last.read_bytes()[:-500])
    assert main([*options, "--resume"]) == 2
    shown += (more := capsys.readouterr().err)
    assert more == f"fit: {str(last)!r} is no checkpoint of a training: name another file.\n"
    assert shown.count("\n") == 3


def test_print_config_trains_nothing(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["fit", "--config", config, "--print_config", "--data.init_args.batch_size", "7"])
    assert ending.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["data"]["init_args"]["batch_size"] == 7
    assert printed["model"]["init_args"]["weight_decay"] == 0.01  # what was not said is there too
    assert printed["trainer"]["max_steps"] == 6


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "fit: nothing says what to train: pass --config FILE"),
        (
            ["--config", "nowhere.yaml"],
            "fit: there is no file 'nowhere.yaml': name a .yaml with model, data and trainer.",
        ),
        (["--resume"], "/checkpoints/last.ckpt' to resume from: leave --resume out to begin anew."),
        (
            ["--trainer.max_step", "3"],
            "fit: unrecognized arguments: --trainer.max_step 3; see 'statespace fit --help'.",
        ),
        (["--trainer.max_steps", "many"], "fit: trainer.max_steps: Expected a <class 'int'>. Got value: many"),
        (["--data.init_args.batch_size", "x"], "fit: data.batch_size: Expected a <class 'int'>. Got value: x"),
        (["--data.init_args.task", "Copyin"], "fit: data.task: Expected a dot import path string: Copyin"),
        (["--data.init_args.task.init_args.lengt", "3"], "fit: data.task: Option 'lengt' is not accepted"),
        (["--data.class_path", "nothing.there"], "fit: data: No module named 'nothing'"),
        (["--data.init_args.task.init_args.memorize", "20"], "SelectiveCopying: memorize is 20 and length 12"),
        (["--data.init_args.task.init_args.vocabulary", "7"], "TaskModule: the model has tokens True, inputs 6"),
        (
            ["--trainer.devices", "2", "--trainer.strategy", "ddp_spawn"],
            "fit: trainer.strategy is 'ddp_spawn', whose processes would have to be handed what is trained: take 'ddp'",
        ),
        (["--trainer.accelerator", "abacus"], "fit: You selected an invalid accelerator name: `accelerator='abacus'`"),
    ],
    ids=lambda thing: " ".join(thing)[:40] or "nothing" if isinstance(thing, list) else "",
)
def test_what_cannot_be_used_is_one_line_and_code_2(
    given: list[str], words: str, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = given if not given or given[0] == "--config" else ["--config", config, *given]
    given = [*given, "--trainer.default_root_dir", str(tmp_path / "out")] if given else given
    assert main(["fit", *given]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err
    assert shown.err.count("\n") == 1
    assert len(shown.err) < 400
