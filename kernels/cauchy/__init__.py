"""The Cauchy product: the transfer function of a diagonal system at many points, and the kernel of S4 in the DPLR form."""

from statespace.kernels.cauchy.interface import BACKENDS, cauchy

__all__ = ["BACKENDS", "cauchy"]
