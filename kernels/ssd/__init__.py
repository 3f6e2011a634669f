"""The scan of Mamba-2, one decay for a whole head, as matrix products over chunks: state space duality."""

from statespace.kernels.ssd.interface import BACKENDS, ssd

__all__ = ["BACKENDS", "ssd"]
