"""The scan of an elementwise linear recurrence, all states returned: for S5, LRU and irregular sampling."""

from statespace.kernels.linear_scan.interface import BACKENDS, linear_scan

__all__ = ["BACKENDS", "linear_scan"]
