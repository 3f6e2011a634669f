"""Signals: which class they belong to, which number belongs to them, and what each of their samples is."""

from statespace.classification.classifier import Classifier
from statespace.classification.labeler import Labeler
from statespace.classification.recording_batches import RecordingDataModule
from statespace.classification.regressor import Regressor

__all__ = ["Classifier", "Labeler", "RecordingDataModule", "Regressor"]
