"""Every method against SciPy, with a tolerance that follows from the condition of the problem.

No algorithm in float64 can be expected to come closer to the truth than rounding of the input already does. So each
comparison measures how far the discrete matrices move when the entries are changed by a relative 1e-10: that quotient,
or the least that theory allows where it is larger, is the condition number. Two good algorithms agree to about the
unit roundoff times it; the tolerance is 64 times as much, and 1e-12 where the problem is well conditioned. It is never
above 1e-6. A disagreement beyond is brought before mpmath at 50 digits, where there are at most 16 states: what counts
is then our own error, and SciPy's is shown beside.
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
from statespace.systems import StateSpace, System
from statespace.verification.families import STEPS, families
from statespace.verification.oracles import EXACT_UP_TO, exact_discrete, exact_response, scipy_discrete

EPS = 2.0**-52
WELL_CONDITIONED = 1e-12
SAFETY = 64
LAXEST = 1e-9  # of a response, however much its terms cancel
LAXEST_MATRIX = 1e-6  # of a matrix, however badly conditioned
SAMPLES = 40
FIELDS = ("A", "B", "C", "D")


def _arrays(system: StateSpace) -> tuple[np.ndarray, ...]:
    return tuple(matrix.detach().double().numpy() for matrix in (system.A, system.B, system.C, system.D))


def _system(A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray, dt: float | None = None) -> StateSpace:
    return StateSpace(torch.tensor(A), torch.tensor(B), torch.tensor(C), torch.tensor(D), dt)


def _relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    size = float(np.linalg.norm(theirs))
    return float(np.linalg.norm(ours - theirs)) / (size if size else 1.0)


def _discretised(matrices: Iterable[np.ndarray], dt: float, method: str, alpha: float) -> list[np.ndarray]:
    A, B, C, D = (torch.from_numpy(np.ascontiguousarray(matrix)) for matrix in matrices)
    return [matrix.numpy() for matrix in discretize_matrices(A, B, C, D, dt, method, alpha)]


def _conditions(
    matrices: tuple[np.ndarray, ...], found: list[np.ndarray], dt: float, method: str, alpha: float
) -> list[float]:
    """Return the condition number of each discrete matrix.

    The entries are changed in random directions, each by a share of itself, as rounding does. Beside what is seen
    stands what theory knows: no exponential is conditioned better than ``|A dt|`` (Higham, Functions of Matrices,
    section 10.2), and solving with ``G = I - alpha A dt`` costs the condition of `G`.
    """
    A, B, C, D = matrices
    rational = {"bilinear": 0.5, "euler": 0.0, "backward_diff": 1.0, "gbt": alpha}
    if method in rational:
        least = float(np.linalg.cond(np.eye(len(A)) - rational[method] * dt * A, 1))
    else:
        least = float(np.linalg.norm(A, 1)) * dt
    random = np.random.default_rng(0)
    change, worst = 1e-10, [max(least, 1.0)] * 4
    for _ in range(3):
        moved = [matrix * (1 + change * random.standard_normal(matrix.shape)) for matrix in (A, B, C)]
        other = _discretised((*moved, D), dt, method, alpha)
        seen = [_relative(o, f) / change for o, f in zip(other, found, strict=True)]
        worst = [max(w, s) if np.isfinite(s) else 1 / EPS for w, s in zip(worst, seen, strict=True)]
    return worst


def _usable_steps(discrete: list[np.ndarray], sizes: list[float]) -> tuple[int, float]:
    """Return how many steps of a response can be compared, and the tolerance for them.

    Rounding at one step is carried on by a power of `A`, in any algorithm: it grows to ``|A^i| |A^j|``, beside which
    the response itself may have cancelled. As many steps are taken as leave nine digits to compare.
    """
    A, B, C, D = discrete
    norms, power, steps, tolerance = [float(np.linalg.norm(np.eye(len(A))))], np.eye(len(A)), 1, WELL_CONDITIONED
    around = float(np.linalg.norm(C) * np.linalg.norm(B))
    for count in range(1, len(sizes) + 1):
        worst = max(norms[k] * norms[count - 1 - k] for k in range(count))
        growth = (around * worst + float(np.linalg.norm(D))) / max(sizes[count - 1], 1e-300)
        needed = SAFETY * count * EPS * growth
        if count > 2 and not needed <= LAXEST:
            break
        steps, tolerance = count, min(max(tolerance, needed), LAXEST)
        power = A @ power
        norms.append(float(np.linalg.norm(power)))
    return steps, tolerance


def _responses(discrete: list[np.ndarray], dt: float) -> tuple[float, float, float]:
    """Return the errors of `simulate` against dlsim and of `kernel` against dimpulse, and their tolerance."""
    signal = import_module("scipy.signal")
    A, B, C, D = discrete
    u = np.random.default_rng(1).standard_normal((SAMPLES, B.shape[1]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unstable rule may overflow: those steps are left out
        outputs = signal.dlsim((A, B, C, D, dt), u)[1].reshape(SAMPLES, -1)
        pulses = np.stack(signal.dimpulse((A, B, C, D, dt), n=SAMPLES)[1], -1).reshape(SAMPLES, len(C), -1)
        # The sizes of what is compared, after 1, 2, ... steps; the smaller of both decides.
        sizes = [float(min(np.linalg.norm(outputs[:k]), np.linalg.norm(pulses[:k]))) for k in range(1, SAMPLES + 1)]
        steps, tolerance = _usable_steps(discrete, sizes)
    system = _system(A, B, C, D, dt)
    simulated = system.simulate(torch.from_numpy(u[:steps])).y.numpy()
    kernel = system.kernel(steps).numpy()
    return _relative(simulated, outputs[:steps]), _relative(kernel, pulses[:steps]), tolerance


def _frequency(system: StateSpace) -> tuple[float, float, float]:
    """Return the error of the frequency response, SciPy's own error where it is inexact, and the tolerance.

    SciPy goes through the polynomials of the transfer function, which are inexact from some ten states on.
    """
    signal = import_module("scipy.signal")
    A, B, C, D = _arrays(system)
    B, C, D = B[:, :1], C[:1], D[:1, :1]
    w = np.logspace(-2, 2, 5)
    ours = _system(A, B, C, D).frequency_response(torch.from_numpy(w)).numpy()[:, 0, 0]
    condition = max(np.linalg.cond(1j * x * np.eye(len(A)) - A) for x in w)
    tolerance = max(WELL_CONDITIONED, SAFETY * EPS * condition)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # SciPy warns of badly conditioned numerators
            theirs = signal.freqresp(signal.StateSpace(A, B, C, D), w)[1]
        error = _relative(ours, theirs) if np.isfinite(theirs).all() else float("inf")
    except (ValueError, OverflowError):
        theirs, error = np.full(len(w), np.nan), float("inf")
    if error <= WELL_CONDITIONED or len(A) > 4 * EXACT_UP_TO:
        if len(A) > 4 * EXACT_UP_TO:
            direct = [(C @ np.linalg.solve(1j * x * np.eye(len(A)) - A, B) + D)[0, 0] for x in w]
            error = _relative(ours, np.array(direct))
        return error, float("nan"), tolerance
    exact = exact_response(A, B, C, D, w)
    return _relative(ours, exact), _relative(theirs, exact), tolerance


def _row(
    matrices: tuple[np.ndarray, ...], dt: float, method: str, alpha: float, frequency: tuple[float, float, float]
) -> dict[str, object]:
    A, B, C, D = matrices
    if METHODS[method].strictly_proper:
        D = np.zeros_like(D)
    given = (A, B, C, D)
    ours = _discretised(given, dt, method, alpha)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ill-conditioned matrices, which is what the tolerance is for
        theirs = scipy_discrete(*given, dt, method, alpha)
    conditions = _conditions(given, ours, dt, method, alpha)
    tolerances = [min(max(WELL_CONDITIONED, SAFETY * EPS * condition), LAXEST_MATRIX) for condition in conditions]
    errors = [_relative(o, t) for o, t in zip(ours, theirs, strict=True)]
    holds = all(error <= tolerance for error, tolerance in zip(errors, tolerances, strict=True))
    row: dict[str, object] = {"against": "scipy", "ours to 50 digits": np.nan, "scipy to 50 digits": np.nan}
    if not holds and len(A) <= EXACT_UP_TO:
        exact = exact_discrete(*given, dt, method, alpha)
        errors = [_relative(o, e) for o, e in zip(ours, exact, strict=True)]
        row = {
            "against": "mpmath",
            "ours to 50 digits": max(errors),
            "scipy to 50 digits": max(_relative(t, e) for t, e in zip(theirs, exact, strict=True)),
        }
        holds = all(error <= tolerance for error, tolerance in zip(errors, tolerances, strict=True))
    simulated, pulsed, enough = _responses(ours, dt)
    heard, theirs_heard, enough_heard = frequency
    holds = holds and simulated <= enough and pulsed <= enough and heard <= enough_heard
    return {
        **dict(zip(FIELDS, errors, strict=True)),
        "dlsim": simulated,
        "dimpulse": pulsed,
        "freqresp": heard,
        "freqresp of scipy": theirs_heard,
        "condition": max(conditions),
        "tolerance": max(tolerances),
        "tolerance of responses": max(enough, enough_heard),
        **row,
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
        system: one real continuous system.
        dt: step in s, or several.
        methods: keys of `METHODS`; all of them if left out.
        alpha: weight for ``gbt`` and ``exponential-trapezoidal``.
        name: what the system is called in the table.
    Returns:
        One row for each method and step: the relative errors of ``A, B, C, D`` (Frobenius norm), of `simulate` against
        ``dlsim``, of `kernel` against ``dimpulse`` and of `frequency_response` against ``freqresp``; the condition
        number and the tolerances that follow from it; ``against``, which is ``mpmath`` where SciPy and we disagree,
        with the errors of both to 50 digits; and whether all of it ``holds``.
    Raises:
        InputError: the system is discrete, complex or a batch, a step is not positive, or a method is not known.
    """
    dense = system.to_dense()
    if dense.is_discrete:
        raise InputError(
            "verify: the system is discrete already, and nothing is left to discretise: pass the continuous one."
        )
    if dense.A.ndim > 2:
        raise InputError(f"verify: the system is a batch {tuple(dense.A.shape[:-2])}: pass one at a time.")
    if dense.A.is_complex():
        raise InputError(
            "verify: the matrices are complex, but SciPy's responses need real ones: see Diagonal(pairs=True)."
        )
    chosen = [methods] if isinstance(methods, str) else list(methods or METHODS)
    chosen = [find_method("verify", method).name for method in chosen]
    steps = [float(dt)] if isinstance(dt, int | float | torch.Tensor) else [float(step) for step in dt]
    matrices = _arrays(dense)
    frequency = _frequency(dense)
    rows = [
        {"system": name, "n": dense.n, "method": method, "dt": step, **_row(matrices, step, method, alpha, frequency)}
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


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each method: the worst of every error and the verdict.

    An error counts by how far it is from its tolerance, so that a badly conditioned system does not hide the others.

    Args:
        table: what `verify` or `verify_families` gave.
    Returns:
        ``method, systems, comparisons, A, B, C, D, response, tolerance, of tolerance, mpmath, verdict``; ``tolerance``
        from the least to the largest, ``of tolerance`` the largest share of a tolerance that an error took, and
        ``mpmath`` how many comparisons 50 digits had to decide.
    """
    rows = []
    for method, part in table.groupby("method", sort=False):
        used = part[list(FIELDS)].max(axis=1) / part["tolerance"]
        responses = part[["dlsim", "dimpulse", "freqresp"]].max(axis=1)
        rows.append(
            {
                "method": method,
                "systems": part["system"].nunique(),
                "comparisons": len(part),
                **{field: part[field].max() for field in FIELDS},
                "response": responses.max(),
                "tolerance": f"{part['tolerance'].min():.0e} to {part['tolerance'].max():.0e}",
                "of tolerance": max(used.max(), (responses / part["tolerance of responses"]).max()),
                "mpmath": int((part["against"] == "mpmath").sum()),
                "verdict": "holds" if part["holds"].all() else f"{int((~part['holds']).sum())} fail",
            }
        )
    return pd.DataFrame(rows)
