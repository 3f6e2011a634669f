"""Optimiser groups: the dynamics of a system are trained more gently than the rest.

Time-invariant layers: the step and the eigenvalues take a learning rate of at most 1e-3 and no weight decay. Selective
layers, whose step follows the input: A, D and the bias of the step take no decay, at the rate of all. Biases, norms and
feed-throughs take no decay in any.

Source: Gu et al. 2022 (S4, arXiv:2111.00396), and Gu, Gupta, Goel, Ré 2022 (S4D, arXiv:2206.11893), on the details
of training; Gu and Dao 2023 (Mamba, arXiv:2312.00752), appendix E, on those of selective models.
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
        learning_rate: of all but the dynamics of time-invariant layers, which take the smaller of this and 1e-3.
        weight_decay: of the matrices.
    Returns:
        Groups for a torch optimiser; together they hold every parameter once.
    """
    # Inner layers come after those around them, and know best what they are.
    selective = {
        parameter: module.capabilities.selective
        for module in model.modules()
        if isinstance(module, SequenceLayer)
        for parameter in module.ssm_parameters()
    }
    gently = [parameter for parameter, follows_input in selective.items() if not follows_input]
    others = [parameter for parameter in model.parameters() if selective.get(parameter, True)]
    undecayed = [parameter for parameter in others if parameter in selective or parameter.ndim < 2]
    decayed = [parameter for parameter in others if not (parameter in selective or parameter.ndim < 2)]
    return [
        Group(params=gently, lr=min(learning_rate, SSM_LEARNING_RATE), weight_decay=0.0),
        Group(params=undecayed, lr=learning_rate, weight_decay=0.0),
        Group(params=decayed, lr=learning_rate, weight_decay=weight_decay),
    ]
