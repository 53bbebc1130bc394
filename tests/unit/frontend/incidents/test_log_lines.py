"""What of a process's lines is passed on: none that could hold what was asked."""

from __future__ import annotations

import json

from frontend.incidents.log_lines import shareable, stacks

OURS = "2026-11-27 23:44:45,123 WARNING chat-1.3: engine_failed model=org/chat"
REQUEST = "2026-11-27 23:44:45,124 INFO    frontend.1: request path=/v1/secret status=200"
CRASH = [
    "Fatal Python error: Segmentation fault",
    "",
    "Current thread 0x00007f1 (most recent call first):",
    '  File "/srv/worker/loop.py", line 12 in step',
    "Thread 0x00007f2 (most recent call first):",
    '  File "/usr/lib/threading.py", line 331 in wait',
    "Extension modules: msgspec._core, zmq.backend.cython._zmq (total: 2)",
]


def test_the_servers_own_lines_are_kept_but_those_of_requests() -> None:
    assert shareable([OURS], "chat-1") == [OURS]
    assert shareable([REQUEST], "frontend") == []


def test_what_somebody_else_prints_is_counted_and_no_more() -> None:
    hostile = ["my secret prompt", OURS.replace("chat-1.3", "other-1.3"), "", "  secret"]
    assert shareable(hostile, "chat-1") == ["(4 more lines are not the server's own)"]


def test_of_an_exception_its_kind_and_its_frames_are_kept_and_not_what_it_says() -> None:
    lines = [
        OURS,
        "Traceback (most recent call last):",
        '  File "/srv/worker/loop.py", line 12, in step',
        '    tokens = read("my secret prompt")',
        "ValueError: cannot read 'my secret prompt'",
    ]
    assert shareable(lines, "chat-1") == [
        *lines[:3],
        "ValueError",
        "(1 more lines are not the server's own)",
    ]


def test_the_same_in_json() -> None:
    told = {"event": "engine_failed", "process": "chat-1.3", "level": "ERROR"}
    raised = "Traceback (most recent call last):\nValueError: my secret prompt"
    (line,) = shareable([json.dumps({**told, "exc_info": raised})], "chat-1")
    assert json.loads(line) == {
        **told,
        "exc_info": "Traceback (most recent call last):\nValueError",
    }
    assert shareable([json.dumps({**told, "event": "request"})], "chat-1") == []
    for foreign in ('{"prompt": "secret"}', "{secret", json.dumps({**told, "process": "x-1.1"})):
        assert "secret" not in "".join(shareable([foreign], "chat-1"))


def test_the_stacks_of_a_crash_are_found_among_the_lines() -> None:
    found = stacks([OURS, *CRASH, "a foreign line"])
    assert found == [line for line in CRASH if line]


def test_those_of_the_last_crash_and_of_no_exception_that_was_survived() -> None:
    before = ["Traceback (most recent call last):", '  File "/srv/a.py", line 1, in f', OURS]
    again = [*before, *CRASH[:4], OURS, *CRASH]
    assert stacks(again) == [line for line in CRASH if line]
    assert stacks(before) == []
