"""The folder that holds the sockets of one running edge-serve, private to it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

CONTROL = "control"
_LOCK = "lock"


class InUseError(Exception):
    """Another edge-serve runs in this folder."""


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
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock_fd)
            raise InUseError(
                f"another edge-serve runs in {self.path}; stop it, or set EDGE_SERVE_RUN_DIR "
                "to another folder"
            ) from None
        self._lock_fd = lock_fd
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
