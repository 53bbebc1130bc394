"""glibc's allocator, told to give back what it has taken for large blocks."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# Smaller blocks come and go too often for a system call each.
LARGE_BYTES = 1 << 20
ARENAS = 2


def give_back_large_blocks() -> None:
    """From now on each block of `LARGE_BYTES` is mapped alone and goes back when it is freed.

    By itself glibc raises that size to the largest block that was ever freed, up to 32 MB. From
    then on bodies of 20 MB lie in a heap among small blocks that live on, and each thread has a
    heap of its own. Does nothing where the C library is another one.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, LARGE_BYTES)
        mallopt(_M_ARENA_MAX, ARENAS)
