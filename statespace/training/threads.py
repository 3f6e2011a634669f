"""What a thread has to itself: small work, or whole parts of a larger one.

Two that wait for each other cost more than they bring, and far more on a busy machine.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

# Activations in one layer, batch x length x channels. Below, a training step was no faster on two threads than on one
# with both cores idle, and up to twenty times slower with both of them busy.
SMALL = 2**18

Part = TypeVar("Part")
Found = TypeVar("Found")


def on_threads(work: Callable[[Part], Found], parts: Sequence[Part]) -> list[Found]:
    """Do the same work for each part, without gradients, on as many threads as torch has, one part on each at a time.

    Of many small operations, torch shares each among its threads, which then wait for each other as often; so every
    thread has whole parts to itself.

    Args:
        work: what to do with a part.
        parts: what to do it with.
    Returns:
        What `work` returns, in the order of the parts.
    """
    threads = min(torch.get_num_threads(), len(parts))

    @torch.no_grad()
    def alone(part: Part) -> Found:
        return work(part)

    if threads < 2:
        return [alone(part) for part in parts]
    before = torch.get_num_threads()
    try:  # a new thread has as many as were last set anywhere
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(alone, parts))
    finally:
        torch.set_num_threads(before)


@contextmanager
def threads_for(activations: int) -> Iterator[None]:
    """Run the block on one thread if the work is small; the number of threads is put back at its end.

    Args:
        activations: batch x length x channels of the largest tensors.
    Returns:
        A context manager.
    """
    with threads_of(1 if activations < SMALL else torch.get_num_threads()):
        yield


@contextmanager
def threads_of(count: int) -> Iterator[int]:
    """Run the block on so many threads of torch; their number is put back at its end.

    Where each of many operations is shared, the threads that are done with one wait for the next by counting, which
    takes the core from whoever works. So what `on_threads` and the compiled core do not share stays on one.

    Args:
        count: number of threads.
    Returns:
        A context manager that gives the number there was before.
    """
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count)
        yield before
    finally:
        torch.set_num_threads(before)
