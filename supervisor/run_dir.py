"""The folder that holds the sockets of one running edge-serve, private to it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

CONTROL = "control"
_LOCK = "lock"
_LOCK_TRIES = 5
_LOCK_PAUSE_S = 0.05


class InUseError(Exception):
    """Another edge-serve runs in this folder."""


def owner(path: Path) -> int | None:
    """The pid of the edge-serve that runs in the folder ``path``; None if there is none.

    The lock decides, so the pid that a crash has left behind is never taken for a server.
    """
    try:
        lock_fd = os.open(path / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.pread(lock_fd, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdecimal() else None
    finally:
        os.close(lock_fd)
    return None


def _lock(lock_fd: int) -> bool:
    """Take the lock. Whoever only looks (`owner`) lets go of it at once, so that is waited for."""
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(_LOCK_PAUSE_S)
        else:
            return True
    return False


class RunDir:
    """Owns the folder from `claim` to `release`; a crash leaves only files that the next start
    sweeps away, since the lock goes with the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_fd: int | None = None

    @property
    def control(self) -> Path:
        """Where the supervisor's control socket is bound."""
        return self.path / CONTROL

    def claim(self) -> None:
        """Take the folder's lock, remove stale sockets. Raises `InUseError`."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_fd = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _lock(lock_fd):
            os.close(lock_fd)
            raise InUseError(
                f"another edge-serve runs in {self.path}; stop it with edge-serve stop, or choose "
                "another --port (another EDGE_SERVE_RUN_DIR where that is set)"
            ) from None
        self._lock_fd = lock_fd
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)
        self._sweep(keep=_LOCK)

    def release(self) -> None:
        """Leave nothing behind."""
        if self._lock_fd is not None:
            self._sweep(keep="")
            os.close(self._lock_fd)
            self._lock_fd = None

    def _sweep(self, keep: str) -> None:
        for entry in self.path.iterdir():
            if entry.name != keep and not entry.is_dir():
                entry.unlink(missing_ok=True)
