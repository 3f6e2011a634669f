"""Signals: which class they belong to, which number belongs to them, and what each of their samples is."""

from typing import TYPE_CHECKING

from statespace.classification.classifier import Classifier
from statespace.classification.labeler import Labeler
from statespace.classification.regressor import Regressor
from statespace.lazy import when_asked_for

if TYPE_CHECKING:
    from statespace.classification.recording_batches import RecordingDataModule

__all__ = ["Classifier", "Labeler", "RecordingDataModule", "Regressor"]

# It loads Lightning, which nobody needs who has a model.
__getattr__, __dir__ = when_asked_for(__name__, {"RecordingDataModule": "statespace.classification.recording_batches"})
