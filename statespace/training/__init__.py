"""Training through Lightning: modules, data modules, callbacks, parameter groups."""

from statespace.training.augmentation import augment, usual_strength
from statespace.training.checkpoint import RunCheckpoint, fingerprint
from statespace.training.curve import Curve
from statespace.training.fitting import Outcome, fit
from statespace.training.module import ForecastModule
from statespace.training.parameter_groups import parameter_groups
from statespace.training.signal_augmentation import SignalBatch
from statespace.training.signals import SignalDataModule, SignalModule, SignalSource, loss_of
from statespace.training.split import validation_rows
from statespace.training.stages import Stages
from statespace.training.tasks import TaskBatch, TaskDataModule, TaskModule, as_tensors
from statespace.training.threads import on_threads, threads_for, threads_of
from statespace.training.windows import Beside, WindowDataModule, Windows, WindowSource

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
