"""Layers over sequences, ``(batch, length, channels)`` in and out, each with a parallel and a recurrent form."""

from statespace.layers.base import SequenceLayer
from statespace.layers.block import ResidualBlock
from statespace.layers.s4d import S4D

__all__ = ["LAYERS", "S4D", "ResidualBlock", "SequenceLayer"]

LAYERS: dict[str, type[S4D]] = {"s4d": S4D}
"""Each layer by the name under which estimators know it; made as ``LAYERS[name](d_model)``."""
