"""What is measured of processes, apart from the measuring."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from supervisor.children.process import Percent, Process, ended


def test_a_percentage_is_read_over_a_second_at_least() -> None:
    times = iter([0.0, 0.2, 0.9, 1.0, 1.5, 3.0])
    readings = iter([0.0, 40.0, 7.0])
    cpu = Percent(lambda: next(readings), lambda: next(times))
    assert [cpu() for _ in range(5)] == [0.0, 0.0, 40.0, 40.0, 7.0]


def test_one_that_cannot_be_watched_is_not_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def no_descriptors(pid: int) -> int:
        started.append(pid)
        raise OSError(errno.EMFILE, "Too many open files")

    async def start() -> None:
        Process([sys.executable, "-c", "import time; time.sleep(1000)"], {}, [], lambda _: None)

    monkeypatch.setattr(os, "pidfd_open", no_descriptors)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="Too many open files"):
        asyncio.run(start())
    assert not psutil.pid_exists(started[0])
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("number", "sent", "by"),
    [
        (signal.SIGKILL, [], signal.SIGKILL),
        (signal.SIGTERM, [], signal.SIGTERM),
        (signal.SIGKILL, [signal.SIGKILL], None),
        (signal.SIGSEGV, [], None),
        (signal.SIGABRT, [], None),
        (signal.SIGRTMIN + 1, [], signal.SIGRTMIN + 1),
    ],
)
def test_who_ended_a_process_by_a_signal_is_told(
    number: signal.Signals, sent: list[signal.Signals], by: int | None
) -> None:
    assert ended(-number, sent).by == by
    assert ended(0, sent).by is None
