"""One sample through a stack of layers: the stack is written down as a program once, and each step is one call."""

from statespace.kernels.stack_step.instructions import (
    Add,
    Convolution,
    Diagonal,
    Gate,
    Gelu,
    Glu,
    GroupNorm,
    Heads,
    Linear,
    Norm,
    Program,
    Register,
    Selective,
    joined,
)
from statespace.kernels.stack_step.interface import BACKENDS, StackStep
from statespace.kernels.stack_step.parallel import scan
from statespace.kernels.stack_step.reference import step

__all__ = [
    "BACKENDS",
    "Add",
    "Convolution",
    "Diagonal",
    "Gate",
    "Gelu",
    "Glu",
    "GroupNorm",
    "Heads",
    "Linear",
    "Norm",
    "Program",
    "Register",
    "Selective",
    "StackStep",
    "joined",
    "scan",
    "step",
]
