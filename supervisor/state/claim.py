"""Whose the state folder is: the files there are those of one server, from its start to its end."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = "lock"


@contextmanager
def claimed(folder: str) -> Iterator[str]:
    """Hold the state ``folder`` within the block, "" for none. Gives why it cannot be had, in words
    for people; "" where it is this process's.

    One without a place for a lock is nobody's: whoever writes there says why that does not go.
    """
    lock = _opened(folder)
    if lock is None:
        yield ""
        return
    try:
        yield "" if _take(lock) else _why(folder, lock)
    finally:
        os.close(lock)


def _opened(folder: str) -> int | None:
    if not folder:
        return None
    try:
        return os.open(Path(folder, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    with suppress(OSError):  # a full disk: it is for people to read
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return True


def _why(folder: str, lock: int) -> str:
    pid = os.pread(lock, 32, 0).decode(errors="replace").strip()
    return (
        f"another edge-serve (process {pid}) keeps its files in {folder}. This one keeps no "
        "history, usage, incidents, batches or measurements, and knows none; set another "
        "EDGE_SERVE_STATE_DIR for it"
    )
