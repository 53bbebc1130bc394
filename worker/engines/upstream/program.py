"""A program that serves a model, as a child of the worker that nothing can orphan.

Between the two is a guard (`program_guard` beside this) that waits on a pipe whose other end only
the worker holds: however the worker ends, by SIGKILL or with the supervisor, the pipe closes
and the guard kills the program and all that it has started, sessions of their own included. The
kernel's parent-death signal would reach the program only, and a process group not those who left.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.engine import LoadError

logger = logging.getLogger(__name__)

TERM_S = 5.0
READ_S = 1.0
# Lines kept to say why it ended.
TAIL_LINES = 3
LINE_CHARS = 300
_READ_CHARS = 4096

_GUARD = Path(__file__).with_name("program_guard.py")
# By these it ends by its own fault; by any other because somebody has sent it.
_OWN_SIGNALS = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)


class Program:
    """A running program. What it says goes to the log at level debug, until it is hushed."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Start it. Raises `LoadError` where it cannot be."""
        self.name = Path(argv[0]).name
        self._end: str | None = None
        self._lifeline: int | None
        read_end, self._lifeline = os.pipe()
        report, report_end = os.pipe()
        guard = [sys.executable, "-I", "-S", str(_GUARD), str(read_end), str(report_end)]
        self._popen = subprocess.Popen(
            [*guard, *argv],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            errors="replace",
            pass_fds=[read_end, report_end],
            process_group=0,
        )
        os.close(read_end)
        os.close(report_end)
        with os.fdopen(report, "rb") as errors:
            number = errors.read()  # ends as soon as the program runs
        if number:
            self._end_all()
            reason = os.strerror(int(number))
            raise LoadError(f"{argv[0]} cannot be started: {reason}")
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._lines = 0
        self._hushed = False
        self._reader = threading.Thread(target=self._read, name="program", daemon=True)
        self._reader.start()

    def wait(self, timeout_s: float) -> None:
        """Return when it has ended, or after so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout_s)

    def ended(self) -> str | None:
        """How it ended and the last that it said; None while it runs.

        What it leaves behind is ended too: it would keep memory that the next one needs.
        """
        if self._end is None and self._popen.poll() is not None:
            self._end_all()
            self._reader.join(READ_S)  # its last words may still be on the way
            self._end = self._describe(self._popen.returncode)
        return self._end

    @property
    def was_killed(self) -> bool:
        """Whether somebody has ended it: no request has."""
        status = self._popen.returncode
        return status is not None and status < 0 and -status not in _OWN_SIGNALS

    def _describe(self, status: int) -> str:
        how = f"ended with status {status}"
        if status < 0:
            how = f"was killed by {signal.Signals(-status).name}"
        return ": ".join([f"{self.name} {how}", *(["; ".join(self._tail)] if self._tail else [])])

    def news(self) -> str | None:
        """The newest line, if there is one since the last call."""
        lines, self._lines = self._lines, 0
        return self._tail[-1] if lines and self._tail else None

    def hush(self) -> None:
        """Read what it says from now on, but keep none of it: it may hold prompts."""
        self._hushed = True
        self._tail.clear()

    def stop(self) -> None:
        """Ask it to end, then end it with everything that it has started."""
        self._popen.terminate()
        self.wait(TERM_S)
        self._end_all()
        self._reader.join(READ_S)

    def _end_all(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        self._popen.wait()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as output:
            while line := output.readline(_READ_CHARS):
                said = line.strip()[:LINE_CHARS]
                if said and not self._hushed:
                    self._tail.append(said)
                    self._lines += 1
                    logger.debug("program", extra={"program": self.name, "said": said})
