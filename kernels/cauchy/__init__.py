"""The Cauchy product: the transfer function of a diagonal system at many points, of which S4 makes its kernel."""

from statespace.kernels.cauchy.interface import BACKENDS, cauchy

__all__ = ["BACKENDS", "cauchy"]
