"""Pages of files that a library has mapped, and has read for the last time, or nearly."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MADV_DONTNEED = 4  # of Linux, on all processors


def give_back_pages(folder: Path, maps: Path = Path("/proc/self/maps")) -> int:
    """Take the pages of the files below ``folder`` out of this process, as far as they were only
    read: who reads one again has it from the file, or the system's cache of it. Returns the bytes
    of address space that this was done to, 0 where there is no such system call."""
    done = 0
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None, use_errno=True)
        for start, size in _read_only(folder, maps):
            address, length = ctypes.c_void_p(start), ctypes.c_size_t(size)
            if library.madvise(address, length, _MADV_DONTNEED) == 0:
                done += size
    return done


def _read_only(folder: Path, maps: Path) -> Iterator[tuple[int, int]]:
    """Where the files are mapped that cannot be written there, proc_pid_maps(5)."""
    below = f"{folder.resolve()}/"
    for line in maps.read_text().splitlines():
        span, rights, *_, path = line.split(maxsplit=5)
        if path.startswith(below) and "w" not in rights:
            start, end = (int(part, 16) for part in span.split("-"))
            yield start, end - start
