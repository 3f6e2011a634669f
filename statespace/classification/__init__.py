"""Whole signals: which class they belong to, or which number belongs to them."""

from statespace.classification.classifier import Classifier
from statespace.classification.regressor import Regressor

__all__ = ["Classifier", "Regressor"]
