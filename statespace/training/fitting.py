"""Run a module through Lightning's Trainer: early stopping, best weights, Ctrl-C, one bar, and no banners."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.strategies import DDPStrategy

from statespace.errors import InputError
from statespace.training.callbacks import BestWeights, Patience, ProgressBar, StopOnInterrupt
from statespace.training.checkpoint import WholeFiles
from statespace.training.outcome import Outcome
from statespace.training.processes import together


@contextmanager
def without_banners() -> Iterator[None]:
    """Keep Lightning's messages about devices, loaders and tips to itself."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _trainer(accelerator: str, devices: int, strategy: str, **settings: Any) -> Trainer:
    # The processes are there already, whatever else the environment says.
    plugins: list[Any] = [WholeFiles(), *([LightningEnvironment()] if devices > 1 else [])]
    # Buffers stay as they are: there is no need to send them around with each batch.
    how = DDPStrategy(broadcast_buffers=False) if devices > 1 else strategy
    try:
        return Trainer(accelerator=accelerator, devices=devices, strategy=how, plugins=plugins, **settings)
    except (MisconfigurationException, ValueError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        asked = f"accelerator is {accelerator!r}" + (f" and devices is {devices}" if devices > 1 else "")
        raise InputError(f"fit: {asked}, which cannot be used here: {reason}.") from error


def fit(
    module: LightningModule,
    data: LightningDataModule,
    *,
    max_steps: int,
    has_validation: bool,
    check_every: int = 20,
    patience: int = 10,
    accelerator: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    title: str = "fit",
    verbose: bool = True,
    callbacks: Sequence[Callback] = (),
    resume_from: Path | None = None,
) -> Outcome:
    """Train `module` on `data`, and leave its best weights in it.

    With several devices there is a process for each, started for the time of the training; see `training.processes`.

    Args:
        module: what to train; it logs ``loss`` and, with validation, ``val_loss``.
        data: endless training batches, and validation batches.
        max_steps: optimiser steps at most.
        has_validation: whether `data` holds something to validate on; without it the last weights stay.
        check_every: steps between two validations.
        patience: validations without improvement after which training stops; -1 for never.
        accelerator: Lightning's name of the device: ``"cpu"``, ``"gpu"``, ``"auto"`` …
        devices: number of them; `module` shares each batch among them.
        strategy: Lightning's name of how they go together: ``"ddp"``, or ``"auto"``.
        title: text in front of the bar.
        verbose: whether to show the bar.
        callbacks: what else is to happen meanwhile.
        resume_from: a checkpoint to go on from.
    Returns:
        How it went. After Ctrl-C the best weights so far are in `module` all the same.
    Raises:
        InputError: there is no such device, or no process can be started here.
        KeyboardInterrupt: Ctrl-C was pressed twice.
    """
    settings: dict[str, Any] = {
        "max_steps": max_steps,
        "has_validation": has_validation,
        "check_every": check_every,
        "patience": patience,
        "accelerator": accelerator,
        "devices": devices,
        "strategy": strategy,
        "title": title,
        "verbose": verbose,
        "callbacks": callbacks,
        "resume_from": resume_from,
    }
    if devices == 1:
        return _fit(module, data, **settings)
    found = together("fit", devices, _fit_together, module, data, settings)
    module.load_state_dict(found["weights"])
    module.eval()
    return Outcome(*found["outcome"])


def _fit_together(module: LightningModule, data: LightningDataModule, settings: dict[str, Any]) -> dict[str, Any]:
    """Train in one of several processes."""
    module = deepcopy(module)  # what was passed to them lies in memory that they share
    outcome = _fit(module, data, **settings)
    return {"weights": module.state_dict(), "outcome": tuple(outcome)}


def _fit(
    module: LightningModule,
    data: LightningDataModule,
    *,
    max_steps: int,
    has_validation: bool,
    check_every: int,
    patience: int,
    accelerator: str,
    devices: int,
    strategy: str,
    title: str,
    verbose: bool,
    callbacks: Sequence[Callback],
    resume_from: Path | None,
) -> Outcome:
    """Train in this process; see `fit`."""
    best, interrupt = BestWeights(), StopOnInterrupt()
    called: list[Callback] = [interrupt]
    bar = ProgressBar(max_steps, title) if verbose else None
    called += [bar] if bar else []
    if has_validation:
        called.append(best)
        if patience >= 0:
            called.append(Patience(patience))
    gradients = torch.is_grad_enabled()
    with without_banners():
        trainer = _trainer(
            accelerator,
            devices,
            strategy,
            max_steps=max_steps,
            limit_val_batches=None if has_validation else 0,
            val_check_interval=min(check_every, max_steps) if has_validation else None,
            check_val_every_n_epoch=None if has_validation else 1,
            gradient_clip_val=1.0,
            callbacks=[*called, *callbacks],
            use_distributed_sampler=False,  # the module shares the batches
            logger=False,
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=check_every,
        )
        try:
            trainer.fit(module, datamodule=data, ckpt_path=resume_from)
        except SystemExit as ending:
            if isinstance(ending.__context__, KeyboardInterrupt):  # Lightning would end the process
                raise KeyboardInterrupt from None
            raise
        finally:
            interrupt.release()
            if bar:
                bar.close()
            best.restore(module)
            module.to("cpu")
            torch.set_grad_enabled(gradients)  # Lightning leaves them on
    module.eval()
    steps = trainer.global_step
    return Outcome(steps, best.best_step if best.weights else steps, best.best_loss, interrupt.interrupted)
