"""The selective scan: a diagonal system whose step, input and output vectors change along the sequence (S6, Mamba)."""

from statespace.kernels.selective_scan.interface import BACKENDS, METHODS, selective_scan

__all__ = ["BACKENDS", "METHODS", "selective_scan"]
