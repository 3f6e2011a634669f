"""Layers over sequences, ``(batch, length, channels)`` in and out, each with a parallel and a recurrent form."""

from statespace.layers.base import SequenceLayer, State
from statespace.layers.block import ResidualBlock
from statespace.layers.mamba import Mamba
from statespace.layers.s4d import S4D
from statespace.layers.s6 import S6

__all__ = ["LAYERS", "S4D", "S6", "Mamba", "ResidualBlock", "SequenceLayer", "State"]

LAYERS: dict[str, type[S4D]] = {"s4d": S4D}
"""Each layer by the name under which estimators know it; made as ``LAYERS[name](d_model)``."""
