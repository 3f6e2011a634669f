"""What happens beside training: the best weights are kept, Ctrl-C ends it well, and a bar shows how far it is."""

import signal
import threading
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor
from tqdm import tqdm


class BestWeights(Callback):
    """Keep the weights with the lowest validation loss in memory, and put them back at the end.

    Attributes:
        best_loss: the lowest validation loss, infinite before the first.
        best_step: the optimiser step after which it was seen, 0 before the first.
    """

    def __init__(self) -> None:
        self.best_loss, self.best_step = float("inf"), 0
        self.weights: dict[str, Tensor] | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the weights if they are the best so far."""
        loss = float(trainer.callback_metrics.get("val_loss", torch.inf))
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, trainer.global_step
            self.weights = {name: value.detach().clone() for name, value in pl_module.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what a run that is resumed must know."""
        return {"best_loss": self.best_loss, "best_step": self.best_step, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it from a checkpoint."""
        self.best_loss, self.best_step = state_dict["best_loss"], state_dict["best_step"]
        self.weights = state_dict["weights"]

    def restore(self, pl_module: LightningModule) -> None:
        """Put the best weights back, if any were seen."""
        if self.weights is not None:
            pl_module.load_state_dict(self.weights)


class Patience(EarlyStopping):
    """Stop after validations without improvement, at once where a run is resumed that had come to that.

    Args:
        patience: how many of them.
    """

    def __init__(self, patience: int) -> None:
        super().__init__("val_loss", patience=max(patience, 1), check_on_train_epoch_end=False)
        self.reached = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count."""
        super().on_validation_end(trainer, pl_module)
        self.reached = trainer.should_stop

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take it from where the checkpoint left it."""
        trainer.should_stop = self.reached

    def state_dict(self) -> dict[str, Any]:
        """Return what a run that is resumed must know."""
        return super().state_dict() | {"reached": self.reached}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it from a checkpoint."""
        super().load_state_dict(state_dict)
        self.reached = state_dict["reached"]


class StopOnInterrupt(Callback):
    """Let the first Ctrl-C end training after the step at hand; a second one interrupts at once.

    Attributes:
        interrupted: whether Ctrl-C was pressed.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._before: Any = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the signal, if this is the main thread, the only one that may."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            if self.interrupted:
                signal.signal(signal.SIGINT, self._before)
                raise KeyboardInterrupt
            self.interrupted = True
            trainer.should_stop = trainer.world_size == 1

        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, stop)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Let all processes stop after the same step: who goes on alone waits for the others for ever."""
        if trainer.world_size > 1:
            self.interrupted = trainer.strategy.reduce_boolean_decision(self.interrupted, all=False)
            trainer.should_stop = trainer.should_stop or self.interrupted

    def release(self) -> None:
        """Give the signal back to whom it belonged."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None


class ProgressBar(Callback):
    """One line on stderr: steps done, losses, time left.

    Args:
        total: number of optimiser steps.
        title: what is going on.
    """

    def __init__(self, total: int, title: str) -> None:
        self.total, self.title = total, title
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar: not before, since what is refused is told in one line and nothing beside it."""
        if not trainer.is_global_zero:
            return
        self.bar = tqdm(
            initial=trainer.global_step,
            total=self.total,
            desc=self.title,
            unit="step",
            leave=True,
            dynamic_ncols=True,
            mininterval=0.2,
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move on to the step that was taken."""
        if self.bar:
            self.bar.update(trainer.global_step - self.bar.n)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the losses."""
        metrics = trainer.callback_metrics
        shown = {name: f"{float(metrics[name]):.4f}" for name in ("loss", "val_loss") if name in metrics}
        if self.bar:
            self.bar.set_postfix(shown, refresh=False)

    def close(self) -> None:
        """Leave the finished line on the screen."""
        if self.bar:
            self.bar.close()
