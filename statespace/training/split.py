"""A part of the training cases to validate on: of each class its share, and no group on both sides."""

import numpy as np


def validation_rows(y: np.ndarray | None, count: int, share: float, groups: np.ndarray | None, seed: int) -> np.ndarray:
    """Choose cases to validate on.

    Args:
        y: a class for each case, ``(b,)``, or ``None`` where there are none.
        count: number of cases.
        share: of the cases, in [0, 1).
        groups: whom each case comes from, ``(b,)``: speakers, patients; ``None``: each stands for itself.
        seed: of the choice.
    Returns:
        The numbers of the cases, in order. A class with one case, or in a single group, stays in training.
    """
    rng = np.random.default_rng(seed)
    kinds = np.zeros(count, int) if y is None else np.unique(y, return_inverse=True)[1]
    if groups is not None:
        return _whole_groups(kinds, share, groups, rng)
    rows: list[np.ndarray] = []
    for kind in range(kinds.max(initial=-1) + 1):
        own = rng.permutation(np.flatnonzero(kinds == kind))
        rows.append(own[: int(np.floor(share * len(own) + rng.random()))][: len(own) - 1])
    return np.sort(np.concatenate(rows)) if rows else np.arange(0)


def _whole_groups(kinds: np.ndarray, share: float, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    names, numbers = np.unique(groups, return_inverse=True)
    wanted = max(1, round(share * len(names))) if share else 0
    members = np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1])
    left = np.bincount(kinds)
    chosen: list[int] = []
    for group in rng.permutation(len(names)).tolist():
        own = np.bincount(kinds[members[group]], minlength=len(left))
        if len(chosen) < wanted and (left > own).all():
            chosen.append(group)
            left -= own
    return np.flatnonzero(np.isin(numbers, chosen))
