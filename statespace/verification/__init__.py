"""The numbers held against SciPy's, and against 50 digits where SciPy itself is inexact."""

from statespace.verification.comparison import summarise, verify, verify_families
from statespace.verification.families import families
from statespace.verification.pictures import error_over_dt
from statespace.verification.reading import read_system

__all__ = ["error_over_dt", "families", "read_system", "summarise", "verify", "verify_families"]
