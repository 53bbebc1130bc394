"""What of a process's lines may be passed on to others.

A file of an incident is made to be shown. The server's own lines never hold what was asked or
answered; of everything else that a process prints (a `command` program, a library, the message of
an exception) nobody knows. So of that only the frames of stacks are kept, and kinds of exceptions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

_TEXT = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ +(?P<process>[\w./-]+): (?P<event>.*)"
)
# What `traceback` and `faulthandler` write, whose words are Python's own.
_STACK = re.compile(
    r"Traceback \(most recent call last\):"
    r"|(During handling of|The above exception was the direct cause of) .*exception.*:"
    r'|  File ".*", line \d+,? in \S+'
    r"|Fatal Python error: [\w :]+"
    r"|(Current thread|Thread) 0x[0-9a-f]+ .*\(most recent call first\):"
    r"|  <no Python frame>"
    r"|Extension modules: .*"
)
_RAISED = re.compile(r"(?P<kind>[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning))(:.*)?")
_REQUEST = "request"  # the line of each request, which is told as a request


def shareable(lines: Iterable[str], process: str) -> list[str]:
    """Those of ``lines`` that ``process`` and its generations have said as the server does."""
    found: list[str] = []
    left_out = 0
    for line in lines:
        kept = _kept(line, process)
        if kept is None:
            left_out += 1
        elif kept:
            found.append(kept)
    if left_out:
        found.append(f"({left_out} more lines are not the server's own)")
    return found


def stacks(lines: Iterable[str]) -> list[str]:
    """The frames of the last crash among them."""
    found: list[str] = []
    for line in lines:
        if line.startswith("Fatal Python error"):
            found = []
        if _STACK.fullmatch(line):
            found.append(line)
        elif _TEXT.fullmatch(line) and found and not found[0].startswith("Fatal"):
            found = []  # of an exception that was logged, and did not end it
    return found


def _kept(line: str, process: str) -> str | None:
    """The line or what may be told of it, empty where it is told elsewhere, None for another's."""
    if (own := _TEXT.fullmatch(line)) is not None and _is_of(own["process"], process):
        return "" if own["event"].partition(" ")[0] == _REQUEST else line
    if line.startswith("{"):
        return _kept_json(line, process)
    return _of_stack(line)


def _kept_json(line: str, process: str) -> str | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    if not isinstance(told, dict) or not _is_of(str(told.get("process")), process):
        return None
    if told.get("event") == _REQUEST:
        return ""
    if "exc_info" in told:
        frames = map(_of_stack, str(told["exc_info"]).split("\n"))
        told["exc_info"] = "\n".join(filter(None, frames))
    return json.dumps(told)


def _of_stack(line: str) -> str | None:
    if _STACK.fullmatch(line):
        return line
    raised = _RAISED.fullmatch(line)
    return raised["kind"] if raised else None


def _is_of(said_by: str, process: str) -> bool:
    return said_by == process or said_by.rpartition(".")[0] == process
