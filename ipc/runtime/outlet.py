"""A standard stream that never blocks: what its reader has no room for is not written.

A terminal that was paused, a pipe that nobody reads or a journal whose disk is full would otherwise
stop whoever says something, one process after the other.
"""

from __future__ import annotations

import fcntl
import io
import os
import stat
import threading
from typing import Any

# Room for bursts while the reader is busy; Linux gives an unprivileged pipe as much (pipe(7)).
PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # <fcntl.h> of Linux; `fcntl` names it only on Linux


class Outlet(io.RawIOBase):
    """Writes to ``fd``, from any thread, without ever waiting for its reader."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._lock = threading.Lock()
        self._rest = b""  # of a line that the reader had room for in part only
        unblock(fd)

    def put(self, line: bytes) -> bool:
        """Write ``line`` whole. False: there is no room, nothing of it was written."""
        with self._lock:
            if self._rest:
                self._rest = self._rest[self._write(self._rest) :]
            if self._rest:
                return False
            if not (done := self._write(line)):
                return False
            self._rest = line[done:]
            return True

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any, /) -> int:
        """As a file is written to; the caller cannot tell whether there was room."""
        line = bytes(data)
        self.put(line)
        return len(line)

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except OSError:  # no room, or nobody reads any more: either way it goes nowhere
            return 0


def unblock(fd: int) -> None:
    """Make writing to ``fd`` fail rather than wait. Files are left alone: they have no reader.

    A pipe or terminal is opened anew, since the flag belongs to the open file, which others share
    with us, say the shell. What cannot be opened anew, such as a socket, gets the flag itself.
    """
    try:
        mode = os.fstat(fd).st_mode
    except OSError:  # closed, as a daemon's may be
        return
    if stat.S_ISREG(mode) or not os.get_blocking(fd):
        return
    try:
        fresh = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        os.set_blocking(fd, False)
        return
    os.dup2(fresh, fd)
    os.close(fresh)
    if stat.S_ISFIFO(mode):
        _widen(fd)


def _widen(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:  # the user's pipes hold too much already; it stays as it is
        return
