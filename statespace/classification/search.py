"""Which of two models to keep, by cases that neither was fitted to.

    d_i = loss of the one before on case i - loss of the new one,      keep the new one if  mean(d) > std(d) / √n

A loss is 0 for a case that is told right and 1 otherwise; with several labels, the share that is wrong; for numbers,
the squared distance. For classes this is McNemar's comparison at one standard error: what is only luckier is not kept.

Source: McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12(2), 1947.
"""

from torch import Tensor

CANDIDATES = ("responses", "s4d", "s5")  # quickest first


def losses(kind: str, scores: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each case, ``(b,)``; see the module.

    Args:
        kind: ``"classes"``, ``"labels"`` or ``"numbers"``.
        scores: ``(b, k)``.
        targets: ``(b, k)``.
    """
    if kind == "classes":
        return (scores.argmax(1) != targets.argmax(1)).double()
    if kind == "labels":
        return ((scores > 0) != (targets > 0.5)).double().mean(1)
    return (scores - targets).double().square().mean(1)


def is_better(new: Tensor, before: Tensor) -> bool:
    """Return whether losses ``(b,)`` are below those from before by more than chance; see the module."""
    gained = before - new
    return bool(gained.mean() > gained.std(correction=0) / len(gained) ** 0.5)
