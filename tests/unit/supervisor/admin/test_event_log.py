"""The events of a server: numbered, kept for a while, and told as they come."""

from __future__ import annotations

from ipc.messages.admin import BoxEvent
from supervisor.admin.event_log import KEPT, EventLog


def test_events_are_numbered_and_told_as_they_come() -> None:
    told: list[BoxEvent] = []
    log = EventLog(lambda: 5.0, told.append)
    log.add("model.state", "m", state="ready")
    log.add("config.reloaded")
    assert told == log.kept
    assert told == [
        BoxEvent(seq=1, time_s=5.0, type="model.state", model="m", facts={"state": "ready"}),
        BoxEvent(seq=2, time_s=5.0, type="config.reloaded"),
    ]


def test_no_more_than_the_newest_are_kept() -> None:
    log = EventLog(lambda: 5.0, lambda _: None)
    for number in range(KEPT + 7):
        log.add("tick", number=number)
    assert [event.seq for event in (log.kept[0], log.kept[-1])] == [8, KEPT + 7]
