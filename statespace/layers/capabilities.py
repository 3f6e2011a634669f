"""What a layer can do: the suite of the contract, the blocks and the table of models in the documentation go by it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """What a layer can do beyond running over whole sequences; each class declares its own.

    What a layer cannot do it refuses, with a sentence.

    Attributes:
        steps: runs one sample at a time, and carries a state from one call to the next.
        irregular: takes `dt`, the time since the sample before, for each sample.
        any_rate: takes `dt_scale`, the time between two samples where it is the same for all of them.
        selective: its dynamics follow the input.
        mixes: mixes the channels itself, so that a block around it has no need to.
        grows: its state grows with each sample, and is not of one size forever.
        views: the views that its argument `view` chooses from, besides ``"auto"``; empty if there is no such argument.
    """

    steps: bool = True
    irregular: bool = True
    any_rate: bool = True
    selective: bool = False
    mixes: bool = False
    grows: bool = False
    views: tuple[str, ...] = ()
