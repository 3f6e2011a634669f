"""Layers over sequences, ``(batch, length, channels)`` in and out, each with a parallel and a recurrent form."""

from typing import Any

from statespace.layers.base import SequenceLayer, State
from statespace.layers.block import ResidualBlock
from statespace.layers.capabilities import Capabilities
from statespace.layers.mamba import Mamba
from statespace.layers.s4d import S4D
from statespace.layers.s6 import S6

__all__ = ["LAYERS", "S4D", "S6", "Capabilities", "Mamba", "ResidualBlock", "SequenceLayer", "State"]

LAYERS: dict[str, type[SequenceLayer[Any]]] = {
    "s4d": S4D,
    "s6": S6,
    "mamba": Mamba,
}
"""Each layer by the name under which estimators know it; made as ``LAYERS[name](d_model)``."""
