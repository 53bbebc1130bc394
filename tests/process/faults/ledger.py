"""The outcome ledger: what clients saw must be what the server's log says, request by request.

Each accepted request has one outcome: none is missing, none is told twice, and both sides tell the
same. Only a frontend that was killed may keep its last lines to itself.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ipc.messages.errors import BY_CODE

LEFT = 499  # the client went away on purpose
CUT = 0  # the connection ended before the answer did

_LINE = re.compile(r"request_id=(\S+)")
_STATUS = re.compile(r"status=(\d+)")
# A frontend answers and then logs: killed in between, it has answered without a line.
_LAST_WORDS_S = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request as its client saw it; the times are monotonic seconds."""

    request_id: str
    status: int
    code: str
    began_at: float
    ended_at: float


class Ledger:
    """Written by every client thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.outcomes: list[Outcome] = []

    def write(self, outcome: Outcome) -> None:
        with self._lock:
            self.outcomes.append(outcome)

    def counts(self) -> dict[str, int]:
        """How often each outcome came, the most frequent first."""
        names = (f"{one.status} {one.code}".strip() for one in self.outcomes)
        return dict(Counter(names).most_common())

    def disputes(self, lines: Iterable[str], deaths: Iterable[float] = ()) -> list[str]:
        """What client and server tell differently. ``deaths`` are of frontends."""
        logged = _logged(lines)
        dead = list(deaths)
        found = [f"{one}: {len(all_)} lines" for one, all_ in logged.items() if len(all_) > 1]
        for one in self.outcomes:
            found += _dispute(one, logged.pop(one.request_id, []), dead)
        return found + [f"{one}: only the log knows of it" for one in logged]


def stream_outcome(events: list[str]) -> tuple[int, str]:
    """Status and code of a stream that began well, from its events without the blank lines."""
    if events and events[-1] == "data: [DONE]":
        return 200, ""
    code = re.search(r'"code":"(\w+)"', events[-1]) if events else None
    return (BY_CODE[code[1]].status, code[1]) if code else (CUT, "cut")


def _logged(lines: Iterable[str]) -> dict[str, list[int]]:
    logged: dict[str, list[int]] = {}
    for line in lines:
        name, status = _LINE.search(line), _STATUS.search(line)
        if name and status:
            logged.setdefault(name[1], []).append(int(status[1]))
    return logged


def _dispute(one: Outcome, statuses: list[int], deaths: list[float]) -> list[str]:
    bereaved = any(one.began_at <= at <= one.ended_at + _LAST_WORDS_S for at in deaths)
    if not statuses:
        return [] if bereaved else [f"{one.request_id}: {one.status} {one.code}, and no line"]
    # Whoever leaves may have been answered just before.
    if one.status == LEFT or one.status == statuses[0]:
        return []
    return [] if bereaved else [f"{one.request_id}: {one.status} {one.code}, log: {statuses}"]
