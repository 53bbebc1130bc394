"""Faults for the `echo` engine that need more than a line: what broken code does to a process.

Only tests use them. `obey_orders` lets a test end the process from within at any time, also while
it loads or has nothing to do, as a thread of a native library would.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from ipc.messages.blob import Blob
from ipc.messages.events import Delta, Done, EmbedResult, Event, Usage
from ipc.messages.jobs import Job
from ipc.transport import wire

EXIT_STATUS = 7


def obey_orders(fifo: Path) -> None:
    """Do what the next line of ``fifo`` says, in a thread of its own: exit, abort or terminate."""

    def listen() -> None:
        with fifo.open() as orders:
            _DEATHS[orders.readline().strip()]()

    threading.Thread(target=listen, name="orders", daemon=True).start()


def _terminate() -> None:
    """What an uncaught C++ exception ends in."""
    ctypes.CDLL("libstdc++.so.6")._ZSt9terminatev()


_DEATHS: dict[str, Callable[[], object]] = {
    "exit": lambda: os._exit(EXIT_STATUS),
    "abort": os.abort,
    "terminate": _terminate,
}


def ignore_sigterm() -> None:
    """From any thread, which Python's own `signal.signal` cannot."""
    ctypes.CDLL(None).signal(int(signal.SIGTERM), ctypes.c_void_p(int(signal.SIG_IGN)))


def freeze() -> None:
    """Wait in native code that keeps the GIL: no thread of this process runs any more."""
    ctypes.PyDLL(None).sleep(1_000_000)


def leave_child() -> None:
    """A grandchild of the supervisor that holds this process's output and does not end."""
    subprocess.Popen(["sleep", "1000"])


def leave_daemon() -> None:
    """Two that are not in this process's group, so that a signal to the group misses them."""
    subprocess.Popen(["setsid", "sh", "-c", "setsid sleep 1000 & sleep 1000"])


def unreadable(job: Job) -> Event:
    """An event that no reader of the declared types accepts."""
    return Delta(job.id, None)  # type: ignore[arg-type]


def unsendable(job: Job) -> Event:
    """An event with text that is none."""
    return Delta(job.id, "\ud800")


def oversized(job: Job) -> Event:
    """A result that this process sends although no peer would take it."""
    size = wire.MAX_BLOB_BYTES + 1
    wire.MAX_BLOB_BYTES = 2 * size
    vectors = Blob(bytes(size))
    return Done(job.id, EmbedResult(vectors=vectors, count=1, dimensions=1, usage=Usage()))
