"""The folder that holds the sockets of one running edge-serve, private to it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

from ipc.transport.sockets import is_private

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
    sweeps away, since the lock goes with the process.

    Others may remove it, or files in it: a logout, whoever cleans /tmp. What is open goes on then,
    but nobody new finds it, and another server could start in it. So `whole` is asked again and
    again, and `restore` makes again what has gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder_fd: int | None = None
        self._lock_fd: int | None = None

    @property
    def control(self) -> Path:
        """Where the supervisor's control socket is bound."""
        return self.path / CONTROL

    def claim(self) -> None:
        """Take the folder's lock, remove stale sockets. Raises `InUseError`."""
        self._take()
        self._sweep(keep=_LOCK)

    def whole(self) -> bool:
        """Whether the folder and its lock are still there, and the same."""
        return _is(self.path, self._folder_fd) and _is(self.path / _LOCK, self._lock_fd)

    def restore(self) -> None:
        """Make again what has gone. Raises `InUseError` where another server has been faster, and
        `OSError` where the folder cannot be made or is not private any more."""
        before = (self._folder_fd, self._lock_fd)
        self._take()
        for fd in before:
            if fd is not None:
                os.close(fd)

    def release(self) -> None:
        """Leave nothing behind. What others have made of the folder meanwhile is theirs."""
        if self._lock_fd is None or self._folder_fd is None:
            return
        if self.whole():
            self._sweep(keep="")
        os.close(self._lock_fd)
        os.close(self._folder_fd)
        self._lock_fd = self._folder_fd = None

    def _take(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_private(self.path):
            raise PermissionError(errno.EPERM, f"{self.path} is not private to this user")
        lock_fd = self._take_lock()
        folder_fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # systemd-tmpfiles leaves folders alone that are locked
            fcntl.flock(folder_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        self._folder_fd, self._lock_fd = folder_fd, lock_fd

    def _take_lock(self) -> int:
        if self._lock_fd is not None and _is(self.path / _LOCK, self._lock_fd):
            return os.dup(self._lock_fd)
        lock_fd = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _lock(lock_fd):
            os.close(lock_fd)
            raise InUseError(
                f"another edge-serve runs in {self.path}; stop it with edge-serve stop and "
                "the same --port, or choose another (another EDGE_SERVE_RUN_DIR where that is set)"
            )
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)
        return lock_fd

    def _sweep(self, keep: str) -> None:
        for entry in self.path.iterdir():
            if entry.name != keep and not entry.is_dir():
                entry.unlink(missing_ok=True)


def _is(path: Path, fd: int | None) -> bool:
    """Whether ``path`` is the file that ``fd`` was opened as."""
    with contextlib.suppress(OSError):
        return fd is not None and os.path.samestat(path.lstat(), os.fstat(fd))
    return False
