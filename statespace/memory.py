"""What becomes of memory that is freed: kept for the next table of its size, or given back and asked for again.

A large block that the C library gives back to the system costs a page fault for every 4 KiB when it is next needed, and
that can take longer than what is computed in it. Where it is kept, the process stays as large as it once was.
"""

import ctypes
import sys

# As in malloc.h of glibc: how much free space at the end of the heap is given back, and from which size on a block is
# asked of the system.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST = 2**31 - 1


def keep_freed() -> bool:
    """Keep memory that is freed, for the rest of the process; return whether this C library can be told so."""
    if not sys.platform.startswith("linux"):
        return False
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    return tell is not None and all([tell(_M_MMAP_THRESHOLD, _MOST) == 1, tell(_M_TRIM_THRESHOLD, _MOST) == 1])
