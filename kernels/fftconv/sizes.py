"""How long the transforms are, and how much is worked on at once."""

import torch
from torch import Tensor

# Real numbers in one padded block. On a CPU a block should stay in the second-level cache of each thread; but every
# call of the FFT plans anew, which takes as long as some ten transforms, so a block holds a few dozen of them unless
# they are very long. Other devices want few and large launches.
BLOCK_CPU = 1 << 18  # for each thread
BLOCK_CPU_LONG = 1 << 21  # at most, for the sake of the planning
TRANSFORMS = 64
BLOCK_OTHER = 1 << 26
TILE_CPU = 1 << 16  # numbers whose axes are turned at once: they stay in a cache, and are enough for two threads
CACHE_LINE = 64  # bytes: fewer channels than fill one fetch the same memory several times


def fast_size(least: int) -> int:
    """Return the least even transform length from `least` on that is ``2^a`` times 1, 3, 5, 9, 15 or 27."""
    sizes = (odd << max(1, (-(-least // odd) - 1).bit_length()) for odd in (1, 3, 5, 9, 15, 27))
    return min(sizes)


def block_sizes(u: Tensor, n: int, work: torch.dtype) -> tuple[int, int]:
    """Choose how many series and channels are transformed at once.

    Args:
        u: input, ``(b, l, d)``.
        n: length of the transform.
        work: dtype of the computation.
    Returns:
        Series and channels per block, at least 1 each; the last block of an axis may be smaller.
    """
    b, _, d = u.shape
    if u.device.type == "cpu":
        budget = max(BLOCK_CPU * torch.get_num_threads(), min(TRANSFORMS * n, BLOCK_CPU_LONG))
    else:
        budget = BLOCK_OTHER
    line = CACHE_LINE // work.itemsize
    series = min(max(1, b), max(1, budget // (line * n)))
    channels = max(line, budget // (series * n) // line * line)
    return series, max(1, min(channels, d))


def tile_steps(device: torch.device, length: int, columns: int) -> int:
    """Choose how many of `length` steps are copied and turned at once, with `columns` numbers in each."""
    return min(length, max(1, TILE_CPU // max(1, columns))) if device.type == "cpu" else length
