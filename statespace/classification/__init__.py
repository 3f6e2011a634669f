"""Signals: which class they belong to, which number belongs to them, and what each of their samples is."""

from importlib import import_module
from typing import TYPE_CHECKING

from statespace.classification.classifier import Classifier
from statespace.classification.labeler import Labeler
from statespace.classification.regressor import Regressor

if TYPE_CHECKING:
    from statespace.classification.recording_batches import RecordingDataModule

__all__ = ["Classifier", "Labeler", "RecordingDataModule", "Regressor"]


def __getattr__(name: str) -> object:
    if name == "RecordingDataModule":  # loads Lightning, which nobody needs who has a model
        return getattr(import_module("statespace.classification.recording_batches"), name)
    raise AttributeError(f"module 'statespace.classification' has no attribute {name!r}: it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), "RecordingDataModule"])
