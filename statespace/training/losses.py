"""The loss of each signal, or of each of its samples, by what there is to say of it.

- Σ_k y_k log softmax(f)_k                          one class for each signal, or for each sample
- Σ_k y_k log σ(f_k) + (1 - y_k) log σ(-f_k)        several labels
‖y - f‖²                                            numbers
"""

from torch import Tensor
from torch.nn import functional as F

LOSSES = ("classes", "labels", "numbers", "steps")


def loss_of(kind: str, scores: Tensor, y: Tensor) -> Tensor:
    """Return the loss of each signal, ``(b,)``, or of each sample, ``(b, l)``; see the module.

    Args:
        kind: one of `LOSSES`.
        scores: what the network says, ``(b, k)``, or ``(b, l, k)`` for ``"steps"``.
        y: targets, ``(b, k)``, or numbers of classes ``(b, l)`` for ``"steps"``.
    Returns:
        The losses.
    """
    if kind == "steps":
        return F.cross_entropy(scores.transpose(1, 2), y, reduction="none")
    if kind == "classes":
        return F.cross_entropy(scores, y, reduction="none")
    if kind == "labels":
        return F.binary_cross_entropy_with_logits(scores, y, reduction="none").mean(-1)
    return (scores - y).square().mean(-1)
