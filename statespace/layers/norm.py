"""Normalisations over the channels of one sample, by name.

    layer:  (x - mean) / sqrt(var + eps) ⊙ g + b        (S4, S4D, S5)
    rms:    x / sqrt(mean(x²) + eps) ⊙ g                (Mamba, Mamba-2)

Source: Ba, Kiros, Hinton 2016 (arXiv:1607.06450), section 3; Zhang and Sennrich 2019 (arXiv:1910.07467), equation (4).
"""

from torch import nn

from statespace.errors import choose

EPS = 1e-5
NORMS: dict[str, type[nn.LayerNorm] | type[nn.RMSNorm]] = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


def make_norm(where: str, norm: str, d_model: int) -> nn.LayerNorm | nn.RMSNorm:
    """Make a normalisation.

    Args:
        where: the caller, for the message.
        norm: ``"layer"`` or ``"rms"``.
        d_model: number of channels.
    Returns:
        The module.
    Raises:
        InputError: the name is not known.
    """
    return NORMS[choose(where, "norm", norm, NORMS)](d_model, eps=EPS)
