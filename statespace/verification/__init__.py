"""The numbers held against SciPy's, and against 50 digits."""

from statespace.verification.comparison import verify, verify_families
from statespace.verification.families import families
from statespace.verification.pictures import error_over_dt
from statespace.verification.reading import read_system
from statespace.verification.summary import cut_short, disputed, summarise

__all__ = [
    "cut_short",
    "disputed",
    "error_over_dt",
    "families",
    "read_system",
    "summarise",
    "verify",
    "verify_families",
]
