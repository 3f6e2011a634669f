"""The convolution kernel of a diagonal system: ``K[l] = Re sum_n c[n] exp(l log_a[n])``."""

from statespace.kernels.vandermonde.interface import BACKENDS, vandermonde

__all__ = ["BACKENDS", "vandermonde"]
