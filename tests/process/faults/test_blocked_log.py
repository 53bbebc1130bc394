"""A log that nobody reads: full, and never emptied. Serving does not need it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.runtime.outlet import unblock
from supervisor import plan as plans
from tests.process.box import CHAT, DEADLINE_S, EMBED, Box, spec, wait_until


class DeafBox(Box):
    """An edge-serve whose output is a pipe that has no room and no reader."""

    def start(self) -> None:
        self.run_dir.mkdir(mode=0o700)
        self.reader, writer = os.pipe()
        fill(writer)
        argv = [sys.executable, "-P", "-m", "supervisor", str(plans.write(self.plan))]
        self.process = subprocess.Popen(argv, stdout=writer, stderr=writer, start_new_session=True)
        os.close(writer)

    def stop(self) -> None:
        super().stop()
        os.close(self.reader)


def fill(pipe: int) -> None:
    """Until not a byte more goes in. The flag is of a copy: the box gets a pipe that blocks."""
    copy = os.dup(pipe)
    unblock(copy)  # also widens it, so that the box cannot gain room by that
    size = 4096
    while size:
        try:
            os.write(copy, b"x" * size)
        except BlockingIOError:
            size //= 2
    os.close(copy)
    assert os.get_blocking(pipe)


def is_ready(box: Box, generation: int) -> bool:
    now = box.replica(CHAT)
    return bool(now["generation"] == generation and now["state"] == "ready")


@pytest.fixture
def box() -> Iterator[Box]:
    folder = Path(tempfile.mkdtemp(prefix="es-"))
    box = DeafBox(folder / "run", spec(CHAT), spec(EMBED))
    yield box.wait_ready()
    box.stop()
    shutil.rmtree(folder)


def test_everything_goes_on_without_a_reader_of_the_log(box: DeafBox) -> None:
    for number in range(300):
        assert box.embed(f"text {number}").status_code == 200
    assert box.chat("/raise").status_code == 500  # a traceback, from the worker
    wait_until(lambda: is_ready(box, 2))
    # Stacks, written by C code, while the engine's own thread may still give its answer.
    assert box.chat("/signal ABRT").status_code in (200, 503)
    wait_until(lambda: is_ready(box, 3))
    assert box.chat("again").status_code == 200
    assert box.health()["status"] == "ok"
    box.process.send_signal(signal.SIGTERM)
    assert box.process.wait(timeout=DEADLINE_S) == 0


def test_a_reader_that_wakes_up_is_told_what_it_missed(box: DeafBox) -> None:
    for number in range(20):
        box.embed(f"text {number}")
    os.set_blocking(box.reader, False)

    def read() -> str:
        try:
            return os.read(box.reader, 1 << 21).decode()
        except BlockingIOError:
            return ""

    read()

    def told() -> int | None:
        box.embed("seen")
        lost = re.search(r"log_dropped lines=(\d+)", read())
        return int(lost[1]) if lost else None

    # An answer comes before its line, so the last of the twenty may have been read already.
    assert wait_until(told) >= 19
