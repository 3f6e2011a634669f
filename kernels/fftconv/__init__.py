"""Long convolution over time by FFT, causal or in both directions, channels last in and out."""

from statespace.kernels.fftconv.interface import BACKENDS, fftconv

__all__ = ["BACKENDS", "fftconv"]
