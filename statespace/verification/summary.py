"""The table of a verification in short: one line a method, and what a reader must know beside it."""

import pandas as pd

FIELDS = ["A", "B", "C", "D"]
NOTES = (
    "A, B, C, D: worst relative error against SciPy; where SciPy and we disagree, against 50 digits (`disputed`).\n"
    "tolerance: 64 roundoffs x condition number, at least 1e-12. of tolerance: the largest share that was used.\n"
    "ours, scipy: worst error of each to 50 digits, whatever the condition. response: dlsim, dimpulse, freqresp.\n"
    "steps: how many of 40 steps of a response leave nine digits to compare."
)
"""What the columns of `summarise` mean."""


def _span(values: pd.Series, form: str) -> str:
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each method: the worst of every error and the verdict.

    An error counts by how far it is from its tolerance, so that a badly conditioned system does not hide the others.

    Args:
        table: what `verify` or `verify_families` gave.
    Returns:
        ``method, systems, comparisons, A, B, C, D, ours, scipy, response, steps, tolerance, of tolerance, disputed,
        verdict``; see `NOTES`. ``steps`` and ``tolerance`` run from the least to the largest.
    """
    rows = []
    for method, part in table.groupby("method", sort=False):
        used = [
            part[FIELDS].max(axis=1) / part["tolerance"],
            part[["dlsim", "dimpulse"]].max(axis=1) / part["tolerance of steps"],
            part["freqresp"] / part["tolerance of freqresp"],
        ]
        rows.append(
            {
                "method": method,
                "systems": part["system"].nunique(),
                "comparisons": len(part),
                **{field: part[field].max() for field in FIELDS},
                "ours": part["ours to 50 digits"].max(),
                "scipy": part["scipy to 50 digits"].max(skipna=False)
                if part["ours to 50 digits"].notna().all()
                else part["scipy to 50 digits"].max(),
                "response": part[["dlsim", "dimpulse", "freqresp"]].max(axis=1).max(),
                "steps": _span(part["steps"], "d"),
                "tolerance": _span(part["tolerance"], ".0e"),
                "of tolerance": max(share.max() for share in used),
                "disputed": int((part["against"] != "scipy").sum()),
                "verdict": "holds" if part["holds"].all() else f"{int((~part['holds']).sum())} fail",
            }
        )
    return pd.DataFrame(rows)


def disputed(table: pd.DataFrame) -> pd.DataFrame:
    """Return where 50 digits had to decide between SciPy and us: the worst for each system.

    Args:
        table: what `verify` or `verify_families` gave.
    Returns:
        ``system, method, dt, condition, tolerance, against, ours to 50 digits, scipy to 50 digits``.
    """
    part = table[table["against"] != "scipy"]
    # SciPy's result may not be finite, and ours not judged: an error of NaN counts as the worst.
    error = part["scipy to 50 digits"].fillna(float("inf"))
    worst = part.loc[error.groupby(part["system"], sort=False).idxmax()]
    return worst[
        ["system", "method", "dt", "condition", "tolerance", "against", "ours to 50 digits", "scipy to 50 digits"]
    ]


def cut_short(table: pd.DataFrame) -> pd.DataFrame:
    """Return which responses could not be compared over all of their steps: the shortest for each method and reason.

    Args:
        table: what `verify` or `verify_families` gave.
    Returns:
        ``method, comparisons, why, steps, system, dt, largest pole``: how many comparisons were cut short for this
        reason, and the system and step of the shortest of them.
    """
    part = table[table["cut short as"] != ""]
    rows = []
    for (method, why), group in part.groupby(["method", "cut short as"], sort=False):
        first = group.iloc[int(group["steps"].to_numpy().argmin())]
        rows.append(
            {
                "method": method,
                "why": why,
                "comparisons": len(group),
                "steps": first["steps"],
                "system": first["system"],
                "dt": first["dt"],
                "largest pole": first["largest pole"],
            }
        )
    return pd.DataFrame(rows)
