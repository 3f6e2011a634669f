"""Training through Lightning: modules, data modules, callbacks, parameter groups.

Lightning takes longer to load than all else together, and whoever has a model need not train: what stands on it is
loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from statespace.training.augmentation import augment, usual_strength
from statespace.training.fingerprint import fingerprint
from statespace.training.losses import loss_of
from statespace.training.outcome import Outcome
from statespace.training.parameter_groups import parameter_groups
from statespace.training.signal_augmentation import SignalBatch
from statespace.training.split import validation_rows
from statespace.training.stages import Stages
from statespace.training.threads import on_threads, threads_for, threads_of
from statespace.training.windows import Beside, Windows, WindowSource

if TYPE_CHECKING:
    from statespace.training.checkpoint import RunCheckpoint
    from statespace.training.curve import Curve
    from statespace.training.fitting import fit
    from statespace.training.module import ForecastModule
    from statespace.training.signals import SignalDataModule, SignalModule, SignalSource
    from statespace.training.tasks import TaskBatch, TaskDataModule, TaskModule, as_tensors
    from statespace.training.window_batches import WindowDataModule

__all__ = [
    "Beside",
    "Curve",
    "ForecastModule",
    "Outcome",
    "RunCheckpoint",
    "SignalBatch",
    "SignalDataModule",
    "SignalModule",
    "SignalSource",
    "Stages",
    "TaskBatch",
    "TaskDataModule",
    "TaskModule",
    "WindowDataModule",
    "WindowSource",
    "Windows",
    "as_tensors",
    "augment",
    "fingerprint",
    "fit",
    "loss_of",
    "on_threads",
    "parameter_groups",
    "threads_for",
    "threads_of",
    "usual_strength",
    "validation_rows",
]

_LOADED_WHEN_ASKED_FOR = {
    "Curve": "curve",
    "ForecastModule": "module",
    "RunCheckpoint": "checkpoint",
    "SignalDataModule": "signals",
    "SignalModule": "signals",
    "SignalSource": "signals",
    "TaskBatch": "tasks",
    "TaskDataModule": "tasks",
    "TaskModule": "tasks",
    "WindowDataModule": "window_batches",
    "as_tensors": "tasks",
    "fit": "fitting",
}


def __getattr__(name: str) -> object:
    if name in _LOADED_WHEN_ASKED_FOR:
        return getattr(import_module(f"statespace.training.{_LOADED_WHEN_ASKED_FOR[name]}"), name)
    raise AttributeError(f"module 'statespace.training' has no attribute {name!r}: it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LOADED_WHEN_ASKED_FOR])
