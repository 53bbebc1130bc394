"""What people read of an incident."""

from __future__ import annotations

from typing import Any

import msgspec

from supervisor.cli.incident.file import IncidentFile
from supervisor.cli.incident.report import lines, rows

TOLD: dict[str, Any] = {
    "told": "org/chat hung and was replaced, 1 request in hand",
    "time_s": 0.0,
    "versions": {"python": "3.11.7", "openvino": "2026.1", "numpy": "2"},
    "requests": [
        {"at_s": -1.0, "model": "org/chat", "shape": {"kind": "chat"}, "client": 1, "status": 200},
        {"at_s": -1.0, "model": "org/chat", "shape": {"kind": "chat"}, "client": 2, "status": 499},
        {"at_s": -1.0, "model": "org/chat", "shape": {"kind": "chat"}, "client": 2, "status": 503}
        | {"error": "worker_crashed"},
        {"at_s": -1.0, "model": "org/chat", "shape": {"kind": "chat"}, "client": 2},
    ],
    "events": [
        {
            "at_s": -3.0,
            "type": "queue.full",
            "model": "org/chat",
            "facts": {"refused": 7, "why": "a queue"},
        },
    ],
    "stacks": {"org.chat-1": ["Fatal Python error: Aborted", *(f"  File {n}" for n in range(20))]},
    "machine": {"kernel_log": {"readable": False, "why": "/dev/kmsg: Permission denied"}},
    "missing": {"samples": "nothing is kept"},
}


def said(told: dict[str, Any]) -> str:
    return "\n".join(lines(msgspec.json.decode(msgspec.json.encode(told), type=IncidentFile)))


def test_it_says_what_happened_what_was_asked_and_where_it_was() -> None:
    for expected in (
        "org/chat hung and was replaced, 1 request in hand",
        "python 3.11.7, openvino 2026.1\n",
        "4 requests in the minutes before, of 2 clients:",
        "org/chat chat: 1 ok, 1 left, 1 worker_crashed, 1 not ended",
        "    -3.0 s  queue.full org/chat refused=7 why=a queue",
        "Where org.chat-1 was:\nFatal Python error: Aborted",
        "  … 9 more lines",
        "The kernel's log cannot be read: /dev/kmsg: Permission denied",
        "not known: samples (nothing is kept)",
    ):
        assert expected in said(TOLD)


def test_what_the_kernel_said_about_memory_is_shown() -> None:
    told = {"at_s": -1.0, "text": "Out of memory: Killed process 77 (python)"}
    log = {"readable": True, "lines": [{"at_s": -9.0, "text": "eth0: link up"}, told]}
    words = said({**TOLD, "machine": {"kernel_log": log}})
    assert "2 lines, 1 of them about memory." in words
    assert "Killed process 77" in words
    assert "eth0" not in words


def test_a_list_has_a_line_for_each() -> None:
    (row,) = rows([{"id": "x-crash", "time": 0.0, "requests": 4, "told": "it died"}])
    assert (row.name, row.cells[-1], row.note) == ("x-crash", "4", "it died")
