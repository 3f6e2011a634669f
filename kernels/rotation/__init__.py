"""Vectors that turn by angles which add up over time: how a state with complex eigenvalues is kept in real numbers."""

from statespace.kernels.rotation.interface import BACKENDS, rotation
from statespace.kernels.rotation.reference import of_heads, rotate, wrapped

__all__ = ["BACKENDS", "of_heads", "rotate", "rotation", "wrapped"]
