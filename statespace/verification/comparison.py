"""Every method against SciPy and against 50 digits, with a tolerance that follows from the condition of the problem.

No algorithm in float64 can be expected to come closer to the truth than rounding allows. The condition numbers of
`statespace.verification.conditions` say how far that is; two good algorithms agree to about the unit roundoff times
the condition number. The tolerance is 64 times as much, for the many roundings there are, and 1e-12 where the problem
is well conditioned. It has no upper bound: a tolerance of 1e-3 says that three digits are left to compare, and each
row tells it.

Each comparison is also held against 50 digits, ours and SciPy's error beside one another. Where SciPy and we disagree
beyond the tolerance, what counts is our own error: against mpmath up to 16 states, and above against `Judge`.
"""

import warnings
from collections.abc import Iterable, Mapping
from importlib import import_module

import numpy as np
import pandas as pd
import torch

from statespace.discretization import METHODS, find_method
from statespace.discretization import discretize as discretize_matrices
from statespace.errors import InputError
from statespace.kernels.balancing import better_units
from statespace.systems import StateSpace, System
from statespace.systems._arguments import as_time_step
from statespace.systems.cont2discrete import as_system
from statespace.verification.conditions import SAMPLES, matrix_conditions, response_conditions, usable_steps
from statespace.verification.families import STEPS, families
from statespace.verification.oracles import EXACT_UP_TO, Judge, exact_discrete, scipy_discrete

EPS = 2.0**-52
WELL_CONDITIONED = 1e-12
SAFETY = 64
FIELDS = ("A", "B", "C", "D")
FREQUENCIES = np.logspace(-2, 2, 5)

Matrices = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class _Units:
    """Powers of two that the states are counted in, so that errors are measured where no entry hides another.

    In companion form the entries of one matrix may differ by 1e26, and a norm sees the largest alone. Balanced, they
    are alike in size; the change of units is exact.
    """

    def __init__(self, A: np.ndarray, dt: float) -> None:
        found, _ = better_units(torch.from_numpy(A) * dt)
        self.unit = np.ones(len(A)) if found is None else found.numpy()

    def __call__(self, matrices: Iterable[np.ndarray]) -> Matrices:
        A, B, C, D = matrices
        return A * self.unit / self.unit[:, None], B / self.unit[:, None], C * self.unit, D


def _arrays(system: StateSpace) -> Matrices:
    A, B, C, D = (matrix.detach().double().cpu().numpy() for matrix in (system.A, system.B, system.C, system.D))
    return A, B, C, D


def _system(A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray, dt: float | None = None) -> StateSpace:
    return StateSpace(torch.tensor(A), torch.tensor(B), torch.tensor(C), torch.tensor(D), dt)


def _relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the relative distance in the Frobenius norm, however large or small the numbers are."""
    unit = float(np.abs(theirs).max(initial=0.0))
    if not np.isfinite(unit):
        return float("nan")
    unit = unit or 1.0
    size = float(np.linalg.norm(theirs / unit))
    with np.errstate(over="ignore"):  # SciPy's result may have overflown
        return float(np.linalg.norm((ours - theirs) / unit)) / (size if size else 1.0)


def _worst(ours: Iterable[np.ndarray], theirs: Iterable[np.ndarray]) -> float:
    worst = float(np.max([_relative(one, other) for one, other in zip(ours, theirs, strict=True)]))
    return float("inf") if np.isnan(worst) else worst


def _discretised(matrices: Iterable[np.ndarray], dt: float, method: str, alpha: float) -> Matrices:
    A, B, C, D = (torch.from_numpy(np.ascontiguousarray(matrix)) for matrix in matrices)
    found = discretize_matrices(A, B, C, D, dt, method, alpha)
    return found.A.numpy(), found.B.numpy(), found.C.numpy(), found.D.numpy()


def _tolerance(condition: float) -> float:
    return max(WELL_CONDITIONED, SAFETY * EPS * condition)


def _responses(discrete: Matrices, balanced: Matrices, dt: float) -> tuple[dict[str, float], dict[str, object]]:
    """Return the errors of `simulate` against dlsim and of `kernel` against dimpulse, and how far they can be told."""
    signal = import_module("scipy.signal")
    A, B, C, D = discrete
    u = np.random.default_rng(1).standard_normal((SAMPLES, B.shape[1]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unstable rule may overflow: those steps are left out
        outputs = signal.dlsim((A, B, C, D, dt), u)[1].reshape(SAMPLES, -1)
        pulses = np.stack(signal.dimpulse((A, B, C, D, dt), n=SAMPLES)[1], -1).reshape(SAMPLES, len(C), -1)
        # The sizes of what is compared, after 1, 2, ... steps; the smaller of both decides.
        sizes = [float(min(np.linalg.norm(outputs[:k]), np.linalg.norm(pulses[:k]))) for k in range(1, SAMPLES + 1)]
        steps, condition = usable_steps(balanced, sizes)
        radius = float(np.abs(np.linalg.eigvals(A)).max(initial=0.0))
    system = _system(A, B, C, D, dt)
    simulated = system.simulate(torch.from_numpy(u[:steps])).y.numpy()
    kernel = system.kernel(steps).numpy()
    why = "" if steps == SAMPLES else "unstable" if radius > 1 else "cancels"
    errors = {
        "dlsim": _relative(simulated, outputs[:steps]),
        "dimpulse": _relative(kernel, pulses[:steps]),
        "tolerance of steps": _tolerance(condition),
    }
    return errors, {"steps": steps, "cut short as": why, "largest pole": radius}


def _frequency(matrices: Matrices, balanced: Matrices) -> dict[str, float]:
    """Return the error of the frequency response, SciPy's own error, and the tolerance.

    SciPy goes through the polynomials of the transfer function, which are inexact from some ten states on.
    """
    signal = import_module("scipy.signal")
    A, B, C, D = matrices
    w = FREQUENCIES
    ours = _system(A, B, C, D).frequency_response(torch.from_numpy(w)).numpy()[:, 0, 0]
    tolerance = _tolerance(response_conditions(*balanced, w))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # SciPy warns of badly conditioned numerators
            theirs = signal.freqresp(signal.StateSpace(A, B, C, D), w)[1]
    except (ValueError, OverflowError):
        theirs = np.full(len(w), np.nan)
    found = Judge(*balanced).response(w)
    if found is None:
        return {"freqresp": _relative(ours, theirs), "freqresp of scipy": np.nan, "tolerance of freqresp": tolerance}
    exact = found[:, 0, 0]
    return {
        "freqresp": _relative(ours, exact),
        "freqresp of scipy": _relative(theirs, exact),
        "tolerance of freqresp": tolerance,
    }


def _row(
    matrices: Matrices,
    dt: float,
    method: str,
    alpha: float,
    frequency: dict[str, float],
    judge: Judge,
    balance: _Units,
) -> dict[str, object]:
    A, B, C, D = matrices
    if METHODS[method].strictly_proper:
        D = np.zeros_like(D)
    given = (A, B, C, D)
    ours = _discretised(given, dt, method, alpha)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of ill-conditioned matrices, which is what the tolerance is for
        theirs = balance(scipy_discrete(*given, dt, method, alpha))
    found, even = balance(ours), balance(given)
    conditions = matrix_conditions(even, found, dt, method, alpha, _discretised)
    tolerances = [_tolerance(condition) for condition in conditions]

    def hold(errors: list[float]) -> bool:
        return all(error <= tolerance for error, tolerance in zip(errors, tolerances, strict=True))

    errors = [_relative(o, t) for o, t in zip(found, theirs, strict=True)]
    against, exact = "scipy", judge.discrete(dt, method, alpha, D)
    if not hold(errors) and len(A) <= EXACT_UP_TO:
        against, exact = "mpmath", exact_discrete(*even, dt, method, alpha)
    elif not hold(errors) and exact is not None:
        against = "50 digits"
    if against != "scipy" and exact is not None:
        errors = [_relative(o, e) for o, e in zip(found, exact, strict=True)]
    steps, told = _responses(ours, found, dt)
    holds = (
        hold(errors)
        and max(steps["dlsim"], steps["dimpulse"]) <= steps["tolerance of steps"]
        and frequency["freqresp"] <= frequency["tolerance of freqresp"]
    )
    return {
        **dict(zip(FIELDS, errors, strict=True)),
        "against": against,
        "condition": max(conditions),
        "tolerance": max(tolerances),
        "ours to 50 digits": np.nan if exact is None else _worst(found, exact),
        "scipy to 50 digits": np.nan if exact is None else _worst(theirs, exact),  # infinite where it overflows
        **steps,
        **told,
        **frequency,
        "holds": holds,
    }


def verify(
    system: System,
    dt: float | Iterable[float],
    methods: str | Iterable[str] | None = None,
    alpha: float = 0.5,
    name: str = "system",
) -> pd.DataFrame:
    """Discretise a system and hold matrices and responses against SciPy's.

    Args:
        system: one real continuous system, or what `cont2discrete` takes for one.
        dt: step in s, or several.
        methods: keys of `METHODS`; all of them if left out.
        alpha: weight for ``gbt`` and ``exponential-trapezoidal``.
        name: what the system is called in the table.
    Returns:
        One row for each method and step:

        - ``A, B, C, D``: relative errors (Frobenius norm, states counted in units in which the matrix is balanced)
          ``against`` SciPy; where SciPy and we disagree, against ``mpmath``, or above 16 states against fixed point
          with ``50 digits``;
        - ``condition`` and ``tolerance``: the condition number of the worst of the four, and 64 times the unit roundoff
          times it, or 1e-12 where that is more;
        - ``ours to 50 digits``, ``scipy to 50 digits``: the worst errors of both, NaN above 300 states;
        - ``dlsim, dimpulse``: errors of `simulate` and `kernel` over the first ``steps`` of 40, with their tolerance.
          The rest is left out where rounding would leave less than nine digits, ``cut short as`` the discrete system
          is ``unstable`` (``largest pole`` above 1), or as its response ``cancels``;
        - ``freqresp, freqresp of scipy``: errors of both to 50 digits from the first input to the first output, with
          the tolerance of ours;
        - ``holds``: whether every error is within its tolerance.

        ``impulse`` is compared without D, for which impulse invariance has no room.
    Raises:
        InputError: the system is discrete, complex, a batch or without a state, a step is not positive, a method is not
            known, or the discrete system overflows.
    """
    dense = as_system("verify", system).to_dense()
    if dense.is_discrete:
        raise InputError(
            "verify: the system is discrete already, and nothing is left to discretise: pass the continuous one."
        )
    if dense.A.ndim > 2:
        raise InputError(f"verify: the system is a batch {tuple(dense.A.shape[:-2])}: pass one at a time.")
    if not dense.n:
        raise InputError("verify: the system has no state, and nothing is left to discretise: it is the gain D.")
    if dense.A.is_complex():
        raise InputError(
            "verify: the matrices are complex, but SciPy's responses need real ones: see Diagonal(pairs=True)."
        )
    chosen = [methods] if isinstance(methods, str) else list(methods or METHODS)
    chosen = list(dict.fromkeys(find_method("verify", method).name for method in chosen))
    several = isinstance(dt, Iterable) and not isinstance(dt, str | torch.Tensor | np.ndarray)
    checked = as_time_step("verify", list(dt) if several else dt)  # type: ignore[arg-type]  # `several` tells
    steps = [] if checked is None else list(dict.fromkeys(np.ravel(checked).tolist()))
    if not steps:
        raise InputError(f"verify: dt is {dt!r}, but a step in s, or several, is expected.")
    matrices = _arrays(dense)
    balance = _Units(matrices[0], max(steps))
    judge = Judge(*balance(matrices))
    A, B, C, D = matrices
    one = (A, B[:, :1], C[:1], D[:1, :1])
    frequency = _frequency(one, balance(one))
    rows = [
        {
            "system": name,
            "n": dense.n,
            "method": method,
            "dt": step,
            **_row(matrices, step, method, alpha, frequency, judge, balance),
        }
        for method in chosen
        for step in steps
    ]
    return pd.DataFrame(rows)


def verify_families(
    systems: Mapping[str, System] | None = None, dt: Iterable[float] = STEPS, methods: Iterable[str] | None = None
) -> pd.DataFrame:
    """Run `verify` over a family of systems.

    Args:
        systems: systems by name; `families` if left out.
        dt: steps in s.
        methods: keys of `METHODS`; all of them if left out.
    Returns:
        The tables of all systems, one below the other.
    Raises:
        InputError: as in `verify`.
    """
    steps, chosen = tuple(dt), None if methods is None else tuple(methods)
    given = families() if systems is None else systems
    # gbt away from 1/2, where it is only the bilinear rule again
    tables = [verify(system, steps, chosen, alpha=0.3, name=name) for name, system in given.items()]
    return pd.concat(tables, ignore_index=True)
