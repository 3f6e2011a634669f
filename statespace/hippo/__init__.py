"""HiPPO: systems whose state is the best memory of the past, and the eigenvalues that deep models take from them."""

from statespace.hippo.diagonal import INITIALISATIONS, s4d_inv, s4d_legs, s4d_lin, s4d_real
from statespace.hippo.fout import fout, fout_low_rank
from statespace.hippo.lagt import lagt, lagt_low_rank
from statespace.hippo.legs import legs, legs_low_rank
from statespace.hippo.legt import legt, legt_low_rank
from statespace.hippo.measures import MEASURES, Measure, transition
from statespace.hippo.memory import HiPPOMemory
from statespace.hippo.nplr import NPLR, nplr

__all__ = [
    "INITIALISATIONS",
    "MEASURES",
    "NPLR",
    "HiPPOMemory",
    "Measure",
    "fout",
    "fout_low_rank",
    "lagt",
    "lagt_low_rank",
    "legs",
    "legs_low_rank",
    "legt",
    "legt_low_rank",
    "nplr",
    "s4d_inv",
    "s4d_legs",
    "s4d_lin",
    "s4d_real",
    "transition",
]
