"""The exponential of many matrices at once, alone or with its integrals applied to an input matrix."""

from statespace.kernels.expm.interface import BACKENDS, expm, expm_phi

__all__ = ["BACKENDS", "expm", "expm_phi"]
