"""One file that a training is kept in, so that the same training goes on from it after a kill -9."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from statespace.errors import InputError
from statespace.files import expect_writable_folder, replace_atomically
from statespace.training.callbacks import StopOnInterrupt

_RUN = "run"


def read_training(path: Path, entry: str) -> Any:
    """Return one entry of the checkpoint of a training.

    Args:
        path: the file.
        entry: its name.
    Returns:
        What stands there.
    Raises:
        InputError: the file is no checkpoint, or has no such entry.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)[entry]
    except Exception as error:  # whatever a file that is none of ours makes torch say
        raise InputError(f"fit: {str(path)!r} is no checkpoint of a training: name another file.") from error


class WholeFiles(TorchCheckpointIO):
    """Write checkpoints beside their place and rename them; Lightning moves them there from the system's folder for
    temporary files, which is a copy where that is another disk, and half a file if it is killed meanwhile.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Path | str, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        with replace_atomically("fit", path) as beside:
            torch.save(checkpoint, beside)


class RunCheckpoint(ModelCheckpoint):
    """Write the training to one file, after each validation or, without any, every few steps.

    After Ctrl-C nothing is written any more: that validation is beside the schedule, and what goes on later is to be
    what would have come without it.

    Args:
        path: the file; it ends with ``.ckpt``.
        run: what the training is told by; see `fingerprint`.
        every: steps between two writes where there is no validation, or ``None``.
    Raises:
        InputError: the file cannot be written, is no checkpoint, or is one of another training.
    """

    def __init__(self, path: Path, run: str, every: int | None) -> None:
        if path.suffix != ".ckpt":
            raise InputError(f"fit: checkpoint is {str(path)!r}, but a file that ends with .ckpt is expected.")
        expect_writable_folder("fit", path.parent)
        super().__init__(
            path.parent,
            path.stem,
            every_n_train_steps=every,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )
        self.path, self.run = path, run
        self.found = self._found()

    def _found(self) -> Path | None:
        if not self.path.is_file():
            return None
        if read_training(self.path, _RUN) != self.run:
            raise InputError(
                f"fit: {str(self.path)!r} is a checkpoint of a training with other signals or parameters: name another "
                "file, or delete it to begin anew."
            )
        return self.path

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write, unless training was interrupted."""
        others: list[Callback] = vars(trainer)["callbacks"]  # set from elsewhere, unseen by type checkers
        if not any(isinstance(other, StopOnInterrupt) and other.interrupted for other in others):
            super().on_validation_end(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, object]) -> None:
        """Write down which training it is."""
        checkpoint[_RUN] = self.run
