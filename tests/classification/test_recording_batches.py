"""Batches from folders and tables of recordings: which are read, whole or cropped, by how many workers, in order."""

from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer
from scipy.io import wavfile
from scipy.signal import resample_poly

from statespace.classification import RecordingDataModule
from statespace.errors import InputError
from statespace.models import Backbone, SequenceModel
from statespace.training import SignalBatch, SignalModule


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty stereo recordings of 100 to 290 samples, whose values tell where in which of them one is."""
    path = tmp_path_factory.mktemp("data")
    for number in range(20):
        label = path / ("even", "odd")[number % 2]
        label.mkdir(exist_ok=True)
        t = np.arange(100 + 10 * number, dtype=np.float32)
        wavfile.write(label / f"{number:02}.wav", 8000, np.stack([number + t / 1000, -t], 1))
    return path


def whole(data: RecordingDataModule, batches: int) -> list[SignalBatch]:
    return list(islice(data.train_dataloader(), batches))


def test_each_recording_comes_once_in_a_pass_with_its_class(folder: Path) -> None:
    data = RecordingDataModule(folder, batch_size=3, val_size=0.2)
    assert (data.classes.tolist(), data.n_channels, data.sampling_rate, data.steps) == (["even", "odd"], 2, 8000, 6)
    val = list(data.val_dataloader())
    numbers = []
    for batch in [*whole(data, 6), *val]:
        number = batch.x[:, 0, 0].long()
        numbers += number.tolist()
        assert batch.y.argmax(1).tolist() == (number % 2).tolist()
        assert batch.lengths.tolist() == (100 + 10 * number).tolist()
        assert batch.x.shape[1] == int(batch.lengths.max())
        for x, length in zip(batch.x, batch.lengths, strict=True):
            torch.testing.assert_close(x[:length, 1], -torch.arange(float(length)))
            assert not bool(x[length:].any())
    assert sorted(numbers) == list(range(20))
    assert sum(len(batch.x) for batch in val) == 4
    spread = [int(batch.lengths.max() - batch.lengths.min()) for batch in whole(data, 5)]
    assert max(spread) < 60  # of 190: neighbours in length


def test_crops_are_drawn_in_training_and_the_middle_in_a_validation(folder: Path) -> None:
    data = RecordingDataModule(folder, batch_size=4, crop=120, val_size=0.5)
    begins = []
    for batch in whole(data, 6):  # two passes
        assert bool((batch.lengths <= 120).all())
        begin = -batch.x[:, 0, 1]
        size = 100 + 10 * batch.x[:, 0, 0].long()
        assert bool(((begin >= 0) & (begin <= (size - 120).clamp(min=0))).all())
        begins.append(begin)
        for x, length, first in zip(batch.x, batch.lengths, begin, strict=True):
            torch.testing.assert_close(-x[:length, 1], first + torch.arange(float(length)))
    assert len(torch.cat(begins).unique()) > 8
    for batch in data.val_dataloader():
        size = 100 + 10 * batch.x[:, 0, 0].long()
        torch.testing.assert_close(-batch.x[:, 0, 1], ((size - 120).clamp(min=0) // 2).float())


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_the_same_batches_in_the_same_order(folder: Path, workers: int) -> None:
    options = {"batch_size": 4, "crop": 110, "seed": 3}
    alone, shared = RecordingDataModule(folder, **options), RecordingDataModule(folder, **options, num_workers=workers)
    for here, there in zip(whole(alone, 9), whole(shared, 9), strict=True):
        torch.testing.assert_close(here.x, there.x)
        torch.testing.assert_close(here.y, there.y)


def test_other_rates_go_through_a_polyphase_filter_and_tables_say_what_is_what(folder: Path) -> None:
    rows = [(f"{('even', 'odd')[n % 2]}/{n:02}.wav", "ab"[n % 2], "train" if n < 12 else "val") for n in range(20)]
    pd.DataFrame(rows, columns=["path", "label", "split"]).to_csv(folder / "list.csv", index=False)
    with pytest.warns(UserWarning, match="20 of 20 recordings were resampled to 4000 Hz"):
        data = RecordingDataModule(folder / "list.csv", batch_size=12, rate=4000.0)
    (batch,) = whole(data, 1)
    assert sorted(batch.lengths.tolist()) == [50 + 5 * n for n in range(12)]
    row = int(batch.lengths.argmax())
    _, samples = wavfile.read(folder / "odd" / "11.wav")
    expected = resample_poly(samples, 1, 2, axis=0, padtype="line")
    np.testing.assert_allclose(batch.x[row, : batch.lengths[row]], expected, atol=1e-4)
    assert data.classes.tolist() == ["a", "b"]
    assert sum(len(batch.x) for batch in data.val_dataloader()) == 8


def test_gaps_are_zero_and_not_observed(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(2):
            samples = np.arange(1.0, 9.0).repeat(2).reshape(8, 2).T
            samples[:, 3] = np.nan
            samples[0, 5] = np.nan
            np.save(tmp_path / label / f"{number}.npy", samples)
    (batch,) = whole(RecordingDataModule(tmp_path, val_size=0), 1)
    assert batch.observed is not None
    assert batch.observed[0].tolist() == [1, 1, 1, 0, 1, 1, 1, 1]
    assert batch.x[0, :, 0].tolist() == [1, 2, 3, 0, 5, 0, 7, 8]


def test_it_trains(folder: Path) -> None:
    data = RecordingDataModule(folder, batch_size=4, crop=100)
    model = SequenceModel(Backbone(4, 1, d_state=4), 2, 2, tokens=False, pooling="mean")
    module = SignalModule(model, "classes", 1e-3, 0.0, 0.0)
    trainer = Trainer(
        accelerator="cpu", max_steps=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, val_check_interval=1, check_val_every_n_epoch=None,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    assert trainer.global_step == 2
    assert float(trainer.callback_metrics["val_loss"]) > 0


def test_what_cannot_be_used_is_refused(folder: Path, tmp_path: Path) -> None:
    for options, message in (
        ({"batch_size": 0}, "batch_size is 0"),
        ({"crop": 0}, "crop is 0"),
        ({"crop": 1.5}, r"crop is 1\.5, but a whole number"),
        ({"batch_size": 2.5}, r"batch_size is 2\.5"),
        ({"seed": -1}, "seed is -1"),
        ({"num_workers": -1}, "num_workers is -1"),
        ({"val_size": 1.0}, r"val_size is 1\.0"),
        ({"channels": "stereo"}, "channels is 'stereo'"),
    ):
        with pytest.raises(InputError, match=message):
            RecordingDataModule(folder, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="does not name at least two classes"):
        RecordingDataModule(folder / "even")
    pd.DataFrame({"case": [0, 0], "time": [0, 1], "x": [1.0, 2.0]}).to_csv(tmp_path / "long.csv", index=False)
    with pytest.raises(InputError, match="does not name at least two classes"):
        RecordingDataModule(tmp_path / "long.csv")


def test_rows_that_a_table_names_for_a_test_are_left_out(folder: Path, tmp_path: Path) -> None:
    files = sorted(folder.rglob("*.wav"))
    rows = [
        {"path": str(file), "label": file.parent.name, "split": "Test" if place % 2 else "Train"}
        for place, file in enumerate(files)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "table.csv", index=False)
    data = RecordingDataModule(tmp_path / "table.csv", val_size=0.4)
    assert data.val is not None
    there = data.train.lengths, data.val.lengths
    assert sum(map(len, there)) == sum(row["split"] == "Train" for row in rows)
    pd.DataFrame(rows).replace("Train", "learn").to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(InputError, match="has no split 'train', but Test, learn: call what is"):
        RecordingDataModule(tmp_path / "table.csv")


def test_several_devices_are_refused() -> None:
    module = SignalModule(SequenceModel(Backbone(8, 1), 2, 2, False, "mean"), "classes", 1e-3, 0.0, 0.0)
    module.trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False)
    with pytest.raises(InputError, match=r"the trainer has 2 processes, .* the same batches: pass devices=1"):
        module.setup("fit")
