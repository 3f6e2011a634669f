"""Optimiser groups: the dynamics of a system are trained more gently than the rest.

The step and the eigenvalues take a learning rate of at most 1e-3 and no weight decay; biases, norms and feed-throughs
take no decay.

Source: Gu et al. 2022 (S4, arXiv:2111.00396), and Gu, Gupta, Goel, Ré 2022 (S4D, arXiv:2206.11893), on the details
of training.
"""

from typing import TypedDict

from torch import nn

from statespace.layers import SequenceLayer

SSM_LEARNING_RATE = 1e-3


class Group(TypedDict):
    """One group of an optimiser."""

    params: list[nn.Parameter]
    lr: float
    weight_decay: float


def parameter_groups(model: nn.Module, learning_rate: float, weight_decay: float) -> list[Group]:
    """Split the parameters of `model` into dynamics, those without decay, and the rest.

    Args:
        model: any module; the layers in it say which parameters are their dynamics.
        learning_rate: of all but the dynamics, which take the smaller of this and 1e-3.
        weight_decay: of the matrices.
    Returns:
        Groups for a torch optimiser; together they hold every parameter once.
    """
    dynamics = {
        parameter: None
        for module in model.modules()
        if isinstance(module, SequenceLayer)
        for parameter in module.ssm_parameters()
    }
    others = [parameter for parameter in model.parameters() if parameter not in dynamics]
    return [
        Group(params=list(dynamics), lr=min(learning_rate, SSM_LEARNING_RATE), weight_decay=0.0),
        Group(params=[p for p in others if p.ndim < 2], lr=learning_rate, weight_decay=0.0),
        Group(params=[p for p in others if p.ndim >= 2], lr=learning_rate, weight_decay=weight_decay),
    ]
