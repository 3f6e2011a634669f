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
        The numbers of the cases, in order. A class with one case, or a single group, stays in training.
    """
    rng = np.random.default_rng(seed)
    if groups is not None:
        names = np.unique(groups)
        chosen = (
            rng.permutation(names)[: min(len(names) - 1, max(1, round(share * len(names))))] if share else names[:0]
        )
        return np.flatnonzero(np.isin(groups, chosen))
    kinds = np.zeros(count, int) if y is None else np.unique(y, return_inverse=True)[1]
    rows: list[np.ndarray] = []
    for kind in range(kinds.max(initial=-1) + 1):
        own = rng.permutation(np.flatnonzero(kinds == kind))
        rows.append(own[: int(np.floor(share * len(own) + rng.random()))][: len(own) - 1])
    return np.sort(np.concatenate(rows)) if rows else np.arange(0)
