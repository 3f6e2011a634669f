"""A training of several stages, kept in a folder: after a kill -9 it goes on within the stage that was at work.

A stage that is done leaves the network as it was then, the state of torch's random numbers, and what came out; one that
is at work leaves a checkpoint now and then. Whatever is found there, what is left to do gives the same bits.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from statespace.errors import InputError
from statespace.files import expect_writable_folder, replace_atomically

if TYPE_CHECKING:
    from statespace.training.checkpoint import RunCheckpoint

_DONE, _AT_WORK, _RUN = ".pt", ".ckpt", "run"
_UNFINISHED = ".unfinished-"  # left by a process that was killed while it wrote; see `statespace.files`


class Stages:
    """What is kept of a training.

    Args:
        where: the function that was called, for the messages.
        folder: where it is kept, a folder of its own; it is made if need be. ``None`` to keep nothing.
        run: what the training is told by; see `fingerprint`.
    Attributes:
        interrupted: whether Ctrl-C ended a stage.
    Raises:
        InputError: the folder cannot be written, or holds another training or something else.
    """

    def __init__(self, where: str, folder: Path | None = None, run: str = "") -> None:
        self.where, self.folder, self.run = where, folder, run
        self.interrupted = False
        if folder is None:
            return
        expect_writable_folder(where, folder)
        told = folder / _RUN
        if not told.is_file():
            if any(not path.name.startswith(_UNFINISHED) for path in folder.glob("*")):
                raise InputError(
                    f"{where}: checkpoint {str(folder)!r} holds something else than a training: name a folder of its "
                    "own."
                )
            with replace_atomically(where, told) as beside:
                beside.write_text(run, encoding="utf-8")
        elif told.read_text(encoding="utf-8") != run:
            raise InputError(
                f"{where}: checkpoint {str(folder)!r} holds a training on other data, with other parameters or of "
                "another version: name another folder, or delete it to begin anew."
            )

    def recall(self, stage: str, network: nn.Module) -> Sequence[Any] | None:
        """Put the network and random numbers where they were at the end of a stage.

        Args:
            stage: its name.
            network: it is changed.
        Returns:
            What came out of the stage, or ``None`` if it is not done.
        """
        if self.folder is None or not (path := self._path(stage, _DONE)).is_file():
            return None
        found = torch.load(path, weights_only=True)
        network.load_state_dict(found["network"])
        torch.set_rng_state(found["random_state"])
        return tuple(found["result"])

    def keep(self, stage: str, network: nn.Module, result: Sequence[Any]) -> None:
        """Keep the end of a stage.

        Args:
            stage: its name.
            network: as it is now.
            result: plain numbers, texts and tensors.
        """
        if self.folder is None:
            return
        kept = {"network": network.state_dict(), "random_state": torch.get_rng_state(), "result": tuple(result)}
        with replace_atomically(self.where, self._path(stage, _DONE)) as beside:
            torch.save(kept, beside)
        self._path(stage, _AT_WORK).unlink(missing_ok=True)

    def checkpoint(self, stage: str, every: int | None) -> "RunCheckpoint | None":
        """Return what keeps a stage while it is at work; ``None`` where nothing is kept.

        Args:
            stage: its name.
            every: steps between two writes where there is no validation, or ``None``.
        """
        if self.folder is None:
            return None
        from statespace.training.checkpoint import RunCheckpoint

        return RunCheckpoint(self._path(stage, _AT_WORK), self.run, every)

    def clear(self) -> None:
        """Take the folder away, unless training was interrupted and may go on."""
        if self.folder is None or self.interrupted:
            return
        for pattern in (f"*{_DONE}", f"*{_AT_WORK}"):
            for path in self.folder.glob(pattern):
                path.unlink()
        shutil.rmtree(self.folder.resolve())  # the rest last: until then it tells whose the others are

    def _path(self, stage: str, kind: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{stage.replace(' ', '-')}{kind}"
