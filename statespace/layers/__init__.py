"""Layers over sequences, ``(batch, length, channels)`` in and out, each with a parallel and a recurrent form."""

from typing import Any

from statespace.layers.base import SequenceLayer, State
from statespace.layers.bidirectional import Bidirectional
from statespace.layers.block import ResidualBlock
from statespace.layers.capabilities import Capabilities
from statespace.layers.lru import LRU
from statespace.layers.lssl import LSSL
from statespace.layers.mamba import Mamba
from statespace.layers.mamba2 import Mamba2
from statespace.layers.mamba3 import Mamba3
from statespace.layers.recurrent import GRU, LSTM
from statespace.layers.s4 import S4
from statespace.layers.s4d import S4D
from statespace.layers.s5 import S5
from statespace.layers.s6 import S6
from statespace.layers.ssd import SSD
from statespace.layers.transformer import Transformer

__all__ = [
    "GRU",
    "LAYERS",
    "LRU",
    "LSSL",
    "LSTM",
    "S4",
    "S4D",
    "S5",
    "S6",
    "SSD",
    "Bidirectional",
    "Capabilities",
    "Mamba",
    "Mamba2",
    "Mamba3",
    "ResidualBlock",
    "SequenceLayer",
    "State",
    "Transformer",
]

LAYERS: dict[str, type[SequenceLayer[Any]]] = {
    "lssl": LSSL,
    "s4": S4,
    "s4d": S4D,
    "s5": S5,
    "lru": LRU,
    "s6": S6,
    "mamba": Mamba,
    "ssd": SSD,
    "mamba2": Mamba2,
    "mamba3": Mamba3,
    "lstm": LSTM,
    "gru": GRU,
    "transformer": Transformer,
}
"""Each layer by the name under which estimators know it; made as ``LAYERS[name](d_model)``."""
