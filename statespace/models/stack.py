"""How a stack of blocks is described: a layer for each block, its options, its mixing, and its rate.

    ["s4d", "s4d", "s6"]  at the strides  [1, 1, 4]     time-invariant near the waveform, selective at a quarter of it

Between two blocks of different stride stands a change of rate. What a descent leaves behind is added again where the
stack comes back to that rate.
"""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

from torch import nn

from statespace.errors import InputError, at_least, choose
from statespace.layers import LAYERS, ResidualBlock, SequenceLayer
from statespace.layers.bidirectional import Bidirectional
from statespace.layers.resampling import Downsample, Upsample


def make_layer(
    where: str, name: str, d_model: int, d_state: int | None = None, options: Mapping[str, Any] | None = None
) -> SequenceLayer[Any]:
    """Make the layer of a name.

    Args:
        where: the caller, for messages.
        name: a key of `statespace.layers.LAYERS`.
        d_model: number of channels.
        d_state: order of its systems, for a layer that has such; ``None`` leaves it to the layer.
        options: its other arguments, by name.
    Returns:
        The layer.
    Raises:
        InputError: the name or an option is not known, or an argument is out of range.
    """
    kind = LAYERS[choose(where, "layer", name, LAYERS)]
    known = [parameter for parameter in signature(kind).parameters if parameter != "d_model"]
    given = dict(options or {})
    for option in given:
        if option not in known:
            raise InputError(f"{where}: options has {option!r}, but {name} takes {', '.join(known)}.")
    if d_state is not None and "d_state" in known:
        given.setdefault("d_state", d_state)
    return kind(d_model, **given)


def for_each(where: str, argument: str, value: Any, count: int) -> list[Any]:
    """Return one value for each of `count` blocks, from a list of them, or from one for all, which is anything else.

    Raises:
        InputError: the list is of another length.
    """
    several = isinstance(value, Sequence) and not isinstance(value, str)
    every = list(value) if several else [value] * count
    if len(every) != count:
        raise InputError(
            f"{where}: {argument} has {len(every)} entries, but there are {count} blocks: give one for each, or one "
            "for all."
        )
    return every


def blocks_of(
    where: str,
    d_model: int,
    layers: Sequence[str],
    d_state: int | None,
    mixing: Sequence[str],
    dropout: float,
    norm: str,
    stochastic_depth: float,
    options: Sequence[Mapping[str, Any]],
    bidirectional: bool,
) -> list[ResidualBlock]:
    """Make the blocks; the probability of leaving one out rises with its depth, as in the source of `StochasticDepth`.

    Raises:
        InputError: an argument is out of range or its name is not known.
    """
    blocks = []
    for i, (name, mix, more) in enumerate(zip(layers, mixing, options, strict=True)):
        layer = make_layer(where, name, d_model, d_state, more)
        if bidirectional:
            layer = Bidirectional(layer, make_layer(where, name, d_model, d_state, more))
        blocks.append(ResidualBlock(layer, mix, dropout, norm, stochastic_depth * (i + 1) / len(layers)))
    return blocks


def with_rates(
    where: str, blocks: Sequence[ResidualBlock], strides: Sequence[int], pooling: str
) -> tuple[list[nn.Module], int]:
    """Put the changes of rate between the blocks.

    Args:
        where: the caller, for messages.
        blocks: the blocks.
        strides: samples of the input to one of each block.
        pooling: how a slower rate is reached.
    Returns:
        Blocks and changes of rate in their order, and the stride at the end.
    Raises:
        InputError: a stride is not a multiple of the one before, nor one that the stack has left.
    """
    nodes: list[nn.Module] = []
    levels = [1]
    for block, stride in zip(blocks, strides, strict=True):
        at_least(where, 1, stride=stride)
        before = levels[-1]
        if (stride < before and stride not in levels) or stride % before not in (0, stride):
            raise InputError(
                f"{where}: stride goes to {stride} after {before}, but a slower rate is a whole multiple of the "
                "one before, and a faster one was left before, as in [1, 4, 4, 1]."
            )
        while stride < levels[-1]:
            slower = levels.pop()
            nodes.append(Upsample(slower // levels[-1], pooling))
        if stride > before:
            nodes.append(Downsample(stride // levels[-1], pooling))
            levels.append(stride)
        nodes.append(block)
    return nodes, levels[-1]
