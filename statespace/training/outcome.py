"""What a training comes to, beside the weights."""

from typing import NamedTuple


class Outcome(NamedTuple):
    """How training went.

    Attributes:
        steps: optimiser steps taken.
        best_step: the step whose weights were kept; equal to `steps` without validation.
        best_loss: the validation loss of those weights; infinite without validation.
        interrupted: whether Ctrl-C ended it.
    """

    steps: int
    best_step: int
    best_loss: float
    interrupted: bool
