"""Ctrl-C while something starts: one line of a shell's prompt, and no traceback.

Python answers SIGINT from its first millisecond on with an exception, wherever it is: among its own
imports, in a destructor, after the end of `main`. So the signal is held back (blocked, which an
``exec`` inherits) until somebody can take it: by ``bin/edge-serve`` until the command line is up,
and by the command line until the daemon is.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

STATUS = 128 + signal.SIGINT

# What ends a daemon in an orderly way; SIGHUP does where it has a terminal, which may close.
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


# Whether a SIGINT has come within `quiet`, whatever became of its exception.
_interrupted = False


def has_terminal() -> bool:
    """Whether this process has a controlling terminal, tty(4)."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def hold(*numbers: signal.Signals) -> None:
    """Keep these for whoever calls `let` next, in this process or in what it becomes. Ends the
    process where a SIGINT has come before whose exception somebody has swallowed."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    if _interrupted:
        _leave()


def let(*numbers: signal.Signals) -> None:
    """Take them from now on, those too that have come meanwhile."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


@contextmanager
def quiet() -> Iterator[None]:
    """SIGINT ends the block by `KeyboardInterrupt`, so that it cleans up, and then the process with
    status 130; a second one ends the process at once, and so does one whose exception is raised
    where Python drops it, in a destructor or a callback. Nothing is said of it."""

    def on_sigint(_number: int, _frame: FrameType | None) -> None:
        global _interrupted
        if _interrupted:
            os._exit(STATUS)
        _interrupted = True
        raise KeyboardInterrupt

    def on_unraisable(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            _leave()
        sys.__unraisablehook__(unraisable)

    try:
        sys.unraisablehook = on_unraisable
        before = signal.signal(signal.SIGINT, on_sigint)
        let(signal.SIGINT)
        yield
        signal.signal(signal.SIGINT, before)
    finally:
        sys.unraisablehook = sys.__unraisablehook__
        # Whatever it has become on its way here: some libraries make errors of their own of it.
        if _interrupted:
            _leave()


def _leave() -> NoReturn:
    sys.stdout.flush()
    os._exit(STATUS)
