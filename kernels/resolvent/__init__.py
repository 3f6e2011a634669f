"""The inverses of ``I - tA`` for many matrices at once, alone and applied from both sides."""

from statespace.kernels.resolvent.interface import BACKENDS, Resolvent, resolvent

__all__ = ["BACKENDS", "Resolvent", "resolvent"]
