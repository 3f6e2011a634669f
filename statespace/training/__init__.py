"""Training through Lightning: modules, data modules, callbacks, parameter groups.

Lightning takes longer to load than all else together, and whoever has a model need not train: what stands on it is
loaded when it is first asked for.
"""

from typing import TYPE_CHECKING

from statespace.lazy import when_asked_for
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
    "Curve": "statespace.training.curve",
    "ForecastModule": "statespace.training.module",
    "RunCheckpoint": "statespace.training.checkpoint",
    "SignalDataModule": "statespace.training.signals",
    "SignalModule": "statespace.training.signals",
    "SignalSource": "statespace.training.signals",
    "TaskBatch": "statespace.training.tasks",
    "TaskDataModule": "statespace.training.tasks",
    "TaskModule": "statespace.training.tasks",
    "WindowDataModule": "statespace.training.window_batches",
    "as_tensors": "statespace.training.tasks",
    "fit": "statespace.training.fitting",
}
__getattr__, __dir__ = when_asked_for(__name__, _LOADED_WHEN_ASKED_FOR)
