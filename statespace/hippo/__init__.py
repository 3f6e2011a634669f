"""HiPPO: systems whose state is the best memory of the past, and the eigenvalues that deep models take from them."""

from statespace.hippo.diagonal import INITIALISATIONS, s4d_inv, s4d_legs, s4d_lin, s4d_real
from statespace.hippo.legs import legs, legs_low_rank
from statespace.hippo.nplr import NPLR, nplr

__all__ = ["INITIALISATIONS", "NPLR", "legs", "legs_low_rank", "nplr", "s4d_inv", "s4d_legs", "s4d_lin", "s4d_real"]
