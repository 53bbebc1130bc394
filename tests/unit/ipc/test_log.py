"""A log whose reader falls asleep."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator

import pytest

from ipc.runtime import log
from ipc.runtime.outlet import Outlet, unblock

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe, as the reading and the writing end."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def lines(outlet: Outlet) -> logging.Logger:
    handler = log._Lines(outlet, log._Text("test"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    return logger


def read_all(end: int) -> list[str]:
    os.set_blocking(end, False)
    found = b""
    while True:
        try:
            found += os.read(end, 1 << 20)
        except BlockingIOError:
            return found.decode().splitlines()


def test_a_reader_that_sleeps_stops_nobody_and_learns_afterwards_what_it_missed(pipe: Pipe) -> None:
    logger = lines(Outlet(pipe[1]))
    for number in range(30_000):
        logger.info("line", extra={"number": number, "padding": "x" * 100})
    before = read_all(pipe[0])
    logger.info("awake")
    notice, last = read_all(pipe[0])
    assert 0 < len(before) < 30_000
    assert f"log_dropped lines={30_000 - len(before)}" in notice
    assert last.endswith("awake")
    assert all(line.endswith("x" * 100) for line in before), "half a line"


def test_a_line_that_had_room_in_part_is_finished_before_the_next(pipe: Pipe) -> None:
    logger = lines(Outlet(pipe[1]))
    logger.info("a" * (3 << 20))
    first = os.read(pipe[0], 2 << 20)
    logger.info("lost, since the rest of the first has no room either")
    assert b"\n" not in first
    rest = ""
    while not rest.endswith("b"):
        rest = "\n".join([rest, *read_all(pipe[0])])
        logger.info("b")
    assert rest.count("lost") == 0


def test_what_is_printed_blocks_nobody_either(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", log._printed(Outlet(pipe[1])))
    for _ in range(30_000):
        print("x" * 100, file=sys.stderr)
    assert 0 < len(read_all(pipe[0])) < 30_000


def test_whoever_shares_the_pipe_keeps_it_as_it_was(pipe: Pipe) -> None:
    ours = os.dup(pipe[1])
    unblock(ours)
    assert os.get_blocking(pipe[1])
    assert not os.get_blocking(ours)
    os.close(ours)


@pytest.mark.parametrize("created", [0.0, 1e9 - 0.001, 1e9, 1e9 + 0.9994, 1e9 + 1, 0.5])
def test_times_are_those_of_the_standard_library(created: float) -> None:
    text = log._Text("test")
    for at in (1e9 + 0.25, created, created):
        record = logging.makeLogRecord({"created": at, "msecs": at % 1 * 1000})
        assert text.formatTime(record) == logging.Formatter().formatTime(record)


def test_a_closed_stream_is_no_error() -> None:
    closed = os.dup(2)
    os.close(closed)
    assert not Outlet(closed).put(b"x")


FACTS = {
    "method": "GET",
    "path": "/x",
    "status": 200,
    "ms": 0.1,
    "key": None,
    "odd": "a\nb\x1b\u2028",
}


@pytest.mark.parametrize("form", [log._Text("test"), log._Json("test")])
def test_a_channel_writes_the_lines_of_the_standard_library(
    form: log._Text | log._Json, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e9 + 0.25)
    monkeypatch.setattr(log, "_lines", log._Lines(Outlet(pipe[1]), form))
    channel = log.Channel("test.channel")
    channel.tell(logging.WARNING, "request", FACTS)
    channel.tell(logging.DEBUG, "below the level", FACTS)
    record = logging.getLogger("test.channel").makeRecord(
        "test.channel", logging.WARNING, "", 0, "request", (), None, extra=FACTS
    )
    record.created, record.msecs = 1e9 + 0.25, 250.0
    assert read_all(pipe[0]) == [form.format(record)]


def test_before_the_log_is_set_up_a_channel_leaves_its_lines_to_the_standard_library(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log.Channel("test.channel").tell(logging.WARNING, "request", {"status": 200})
    (record,) = caplog.records
    assert (record.name, record.getMessage(), vars(record)["status"]) == (
        "test.channel",
        "request",
        200,
    )
