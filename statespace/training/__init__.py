"""Training through Lightning: modules, data modules, callbacks, parameter groups."""

from statespace.training.augmentation import augment, usual_strength
from statespace.training.fitting import Outcome, fit
from statespace.training.module import ForecastModule
from statespace.training.parameter_groups import parameter_groups
from statespace.training.threads import threads_for
from statespace.training.windows import WindowDataModule, Windows, WindowSource

__all__ = [
    "ForecastModule",
    "Outcome",
    "WindowDataModule",
    "WindowSource",
    "Windows",
    "augment",
    "fit",
    "parameter_groups",
    "threads_for",
    "usual_strength",
]
