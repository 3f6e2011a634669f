"""The scan of a diagonal, time-invariant system: the recurrent view of LSSL, S4D and S5 over a whole sequence."""

from statespace.kernels.lti_scan.interface import BACKENDS, lti_scan

__all__ = ["BACKENDS", "lti_scan"]
