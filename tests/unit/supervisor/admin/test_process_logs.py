"""Whose lines are kept, and for how long."""

from __future__ import annotations

import pytest

from ipc.messages.errors import NotFound
from ipc.runtime.recent_lines import Lines, RecentLines
from supervisor.admin.process_logs import MOST, ProcessLogs


def test_each_process_has_its_own_and_its_next_generation_goes_on_with_them() -> None:
    own = RecentLines()
    logs = ProcessLogs("supervisor", own)
    own.add("started")
    logs.of("chat-1").add("one")
    logs.of("chat-1").add("two")
    assert logs.tail("supervisor", 9, 0) == Lines(["started"], 1)
    assert logs.tail("chat-1", 9, 0) == Lines(["one", "two"], 2)


def test_one_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    logs = ProcessLogs("supervisor", RecentLines())
    logs.of("chat-1")
    with pytest.raises(NotFound, match="there are supervisor, frontend, chat-1"):
        logs.tail("chat-2", 9, 0)


def test_of_processes_that_come_and_go_the_oldest_make_room() -> None:
    logs = ProcessLogs("supervisor", RecentLines())
    for number in range(MOST + 1):
        logs.of(f"chat-{number}").add("x")
    with pytest.raises(NotFound):
        logs.tail("chat-0", 9, 0)
    assert logs.tail("chat-1", 9, 0).last == 1
