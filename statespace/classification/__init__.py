"""Whole signals: which class they belong to, or which number belongs to them."""

from statespace.classification.estimator import Classifier, Regressor

__all__ = ["Classifier", "Regressor"]
