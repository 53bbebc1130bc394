"""Which of the server's events are incidents that a file is to be made of.

Pure: it takes events and the time. One cause tells of itself more than once (a load that fails
opens the circuit as well), so what comes within a moment of the same model is one incident; and a
model that crashes again and again is one until it has been quiet.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import msgspec

from frontend.incidents.incident import RANK, Incident, Known, What
from ipc.messages.admin import BoxEvent

SETTLE_S = 2.0  # how long what belongs to an incident is waited for
QUIET_S = 600.0  # one of a kind for each model in so long
MOST_AN_HOUR = 10  # of all kinds, or the files of one bad hour would push out all others
FRESH_S = 300.0  # of what is older, the minutes before are known no more
# What an overload is: so many refusals of a model in a minute, spread over a while.
REFUSALS, REFUSED_FOR_S, MINUTE_S = 30, 20.0, 60.0


class Detection:
    """``known`` are the incidents that have a file: events come again to a new frontend."""

    def __init__(self, known: Iterable[Known]) -> None:
        self._known = deque(sorted(known, key=lambda one: one.time_s), maxlen=200)
        self._waiting: dict[str, Incident] = {}  # by subject
        self._refused: dict[str, deque[tuple[float, int]]] = {}
        self._unfiled: dict[tuple[str, str], int] = {}

    def on(self, event: BoxEvent, now_s: float) -> bool:
        """Whether it is an incident that is due in `SETTLE_S`, and was not before."""
        what = self._what(event)
        if what is None or event.time_s < now_s - FRESH_S:
            return False
        return self.tell(
            Incident(what=what, time_s=event.time_s, model=event.model, facts=event.facts)
        )

    def tell(self, incident: Incident) -> bool:
        """As `on`, of an incident that no event tells of."""
        waiting = self._waiting.get(incident.subject)
        if waiting is not None and incident.time_s - waiting.time_s <= SETTLE_S:
            self._waiting[incident.subject] = _joined(waiting, incident)
            self._know(incident)
            return False
        if self._is_filed(incident):
            return False
        kind = (incident.what, incident.subject)
        self._know(incident)
        self._waiting[incident.subject] = msgspec.structs.replace(
            incident, unfiled=self._unfiled.pop(kind, 0)
        )
        return True

    def due(self) -> list[Incident]:
        """Those that were waited for. Each is told once."""
        found, self._waiting = list(self._waiting.values()), {}
        return found

    def _is_filed(self, incident: Incident) -> bool:
        """Whether there is a file that tells of it, or of one like it, or enough of them."""
        at, kind = incident.time_s, (incident.what, incident.subject)
        for one in self._known:
            since_s = at - one.time_s
            if one.subject == incident.subject and abs(since_s) <= SETTLE_S + 1:
                return True
            if (one.what, one.subject) == kind and 0 <= since_s < QUIET_S:
                self._unfiled[kind] = self._unfiled.get(kind, 0) + 1
                return True
        return sum(at - 3600 < one.time_s <= at for one in self._known) >= MOST_AN_HOUR

    def _know(self, incident: Incident) -> None:
        self._known.append(Known(math.floor(incident.time_s), incident.what, incident.subject))

    def _what(self, event: BoxEvent) -> What | None:
        facts = event.facts
        match event.type:
            case "replica.exit" if not facts.get("planned", True):
                return _of_exit(event)
            case "model.state" if facts.get("state") == "failed":
                return "circuit-open"
            case "request.quarantined":
                return "quarantine"
            case "queue.full" if self._is_overload(event):
                return "overload"
        return None

    def _is_overload(self, event: BoxEvent) -> bool:
        told = self._refused.setdefault(event.model or "", deque())
        told.append((event.time_s, int(event.facts.get("refused", 0))))
        while told[0][0] < event.time_s - MINUTE_S:
            told.popleft()
        lasted_s = event.time_s - told[0][0]
        return lasted_s >= REFUSED_FOR_S and sum(count for _, count in told) >= REFUSALS


def _of_exit(event: BoxEvent) -> What:
    if event.model is None:
        return "frontend-crash"
    match event.facts.get("cause"):
        case "memory":
            return "memory"
        case "hang":
            return "hang"
    return "load-failed" if event.facts.get("loading") else "crash"


def _joined(one: Incident, other: Incident) -> Incident:
    """Both as one: the one that says more, with what the other was beside."""
    if one.what == other.what:
        return one
    first, second = sorted((one, other), key=lambda each: RANK.index(each.what))
    also = {*one.also, *other.also, second.what} - {first.what}
    return msgspec.structs.replace(
        first,
        time_s=min(one.time_s, other.time_s),
        also=sorted(also, key=RANK.index),
        unfiled=one.unfiled + other.unfiled,
    )
