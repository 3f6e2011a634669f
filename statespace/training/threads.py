"""One thread for small work: two that wait for each other cost more than they bring, and far more on a busy machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Activations in one layer, batch x length x channels. Below, a training step was no faster on two threads than on one
# with both cores idle, and up to twenty times slower with both of them busy.
SMALL = 2**18


@contextmanager
def threads_for(activations: int) -> Iterator[None]:
    """Run the block on one thread if the work is small; the number of threads is put back at its end.

    Args:
        activations: batch x length x channels of the largest tensors.
    Returns:
        A context manager.
    """
    before = torch.get_num_threads()
    try:
        if activations < SMALL:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)
