"""Standard input, output and error that are always there: a closed one becomes /dev/null.

Without that a print fails, and the next file that is opened takes the descriptor's number: what is
meant for the log would then be written into it.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


def ensure() -> None:
    """Open /dev/null in place of each standard stream that this process was started without."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            _to_null(fd)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def outlive_readers() -> None:
    """Make output go to /dev/null from when nobody reads it: a server does not end with whoever
    watched it start."""
    sys.stdout, sys.stderr = _outliving(sys.stdout, 1), _outliving(sys.stderr, 2)


@contextmanager
def read_to_the_end() -> Iterator[None]:
    """For a block that ends the program: what it has printed is written by then. Where nobody reads
    it any more, as behind ``| head -1``, the program ends with status 1 and nothing is said."""
    try:
        yield
    except SystemExit:
        if not _flush():
            raise SystemExit(1) from None
        raise
    except BrokenPipeError:
        _flush()
        raise SystemExit(1) from None


def _flush() -> bool:
    """Whether all that was said could be written."""
    whole = True
    for stream, fd in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except BrokenPipeError:
            _to_null(fd)  # or Python says at its end that it cannot write there
            whole = False
    return whole


def _outliving(stream: TextIO, fd: int) -> TextIO:
    with suppress(OSError):
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Outliving(fd)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


class _Outliving(io.RawIOBase):
    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any, /) -> int:
        try:
            return os.write(self._fd, data)
        except OSError:  # nobody reads any more, or the disk is full
            _to_null(self._fd)
            return len(data)


def _to_null(fd: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != fd:
        os.dup2(null, fd)
        os.close(null)
    os.set_inheritable(fd, True)
