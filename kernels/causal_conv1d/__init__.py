"""The short causal convolution in front of a selective scan: depthwise, with a state to carry, SiLU fused."""

from statespace.kernels.causal_conv1d.interface import BACKENDS, causal_conv1d
from statespace.kernels.causal_conv1d.update import causal_conv1d_update

__all__ = ["BACKENDS", "causal_conv1d", "causal_conv1d_update"]
