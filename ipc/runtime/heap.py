"""glibc's allocator, told to give back to the system what nobody uses."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

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


def give_back() -> None:
    """Return what was freed to the system; nothing happens with a C library other than glibc. It
    took 1 to 50 ms, see docs/residency.md."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def settle() -> None:
    """What this process has loaded by now stays for good: the garbage collector need not look
    through it again, which takes 20 ms in the frontend and much longer beside torch, and comes in
    the middle of somebody's request. What loading has freed goes back: 61 of 355 MB for
    whisper-base."""
    gc.collect()
    gc.freeze()
    give_back()
