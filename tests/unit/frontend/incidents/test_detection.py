"""Which events are incidents, and of how many a file is made."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from frontend.incidents.detection import MOST_AN_HOUR, QUIET_S, SETTLE_S, Detection
from frontend.incidents.incident import Incident, Known, What
from ipc.messages.admin import BoxEvent

NUMBERS = itertools.count(1)


def event(at: float, kind: str, model: str | None = "org/chat", **facts: Any) -> BoxEvent:
    return BoxEvent(seq=next(NUMBERS), time_s=at, type=kind, model=model, facts=facts)


def died(at: float, cause: str = "crash", model: str | None = "org/chat", **facts: Any) -> BoxEvent:
    facts = {"planned": False, "cause": cause, "reason": "killed by SIGSEGV", **facts}
    return event(at, "replica.exit", model, **facts)


def failed(at: float) -> BoxEvent:
    return event(at, "model.state", state="failed", reason="no such file")


def play(*events: BoxEvent, known: tuple[str, ...] = ()) -> list[tuple[float, str, list[What]]]:
    """The incidents that they make: when, what, and what else."""
    detection = Detection(filter(None, map(Known.of, known)))
    found: list[Incident] = []
    for one, following in itertools.zip_longest(events, events[1:]):
        detection.on(one, one.time_s)
        if following is None or following.time_s - one.time_s > SETTLE_S:
            found += detection.due()
    return [(one.time_s, one.what, one.also) for one in found]


@pytest.mark.parametrize(
    ("happened", "what"),
    [
        (died(100), "crash"),
        (died(100, "memory"), "memory"),
        (died(100, "hang"), "hang"),
        (died(100, loading=True), "load-failed"),
        (died(100, model=None), "frontend-crash"),
        (failed(100), "circuit-open"),
        (event(100, "request.quarantined"), "quarantine"),
    ],
)
def test_these_are_incidents(happened: BoxEvent, what: str) -> None:
    assert play(happened) == [(100, what, [])]


@pytest.mark.parametrize(
    "happened",
    [
        event(100, "replica.exit", planned=True),
        event(100, "model.state", state="ready"),
        event(100, "queue.full", refused=1000, limit=8),
        event(100, "model.load"),
        event(100, "incident"),
    ],
)
def test_and_these_are_none(happened: BoxEvent) -> None:
    assert play(happened) == []


def test_what_one_cause_brings_within_moments_is_one_incident() -> None:
    assert play(failed(100), died(100.01, loading=True), event(100.1, "request.quarantined")) == [
        (100, "load-failed", ["quarantine", "circuit-open"])
    ]


def test_a_model_that_crashes_again_and_again_is_one_and_its_open_circuit_another() -> None:
    loop = [died(100 + 3 * number) for number in range(5)]
    assert play(*loop, failed(116)) == [(100, "crash", []), (116, "circuit-open", [])]


def test_it_is_one_again_once_it_has_been_quiet_and_says_how_many_there_were() -> None:
    detection = Detection([])
    for at in (100, 110, 120, 100 + QUIET_S):
        detection.on(died(at), at)
        due = detection.due()
    assert [(one.time_s, one.unfiled) for one in due] == [(100 + QUIET_S, 2)]


def test_another_model_has_its_own() -> None:
    assert len(play(died(100), died(110, model="org/embed"), died(120, model=None))) == 3


def test_one_bad_hour_does_not_push_out_all_that_came_before() -> None:
    bad = [died(100 + 10 * number, model=f"m{number}") for number in range(50)]
    assert len(play(*bad)) == MOST_AN_HOUR
    assert len(play(*bad, died(3700 + 500))) == MOST_AN_HOUR + 1


def test_an_overload_is_many_refusals_for_a_while() -> None:
    def full(at: float, refused: int) -> BoxEvent:
        return event(at, "queue.full", refused=refused, limit=8)

    assert play(full(100, 1), full(110, 40), full(120, 40)) == [(120, "overload", [])]
    assert play(full(100, 1), full(110, 500)) == []  # a burst
    assert play(full(100, 1), full(110, 2), full(120, 3)) == []  # few
    assert play(full(100, 20), full(200, 20), full(300, 20)) == []  # now and then


def test_a_new_frontend_makes_no_second_file_of_what_it_is_told_again() -> None:
    again = [died(100.7), died(130.2), failed(131), died(500, model=None)]
    filed = ("19700101T000140Z-crash.org-chat", "19700101T000211Z-circuit-open.org-chat")
    assert play(*again, known=filed) == [(500, "frontend-crash", [])]


def test_what_is_long_past_is_not_looked_into() -> None:
    detection = Detection([])
    assert not detection.on(died(100), now_s=1000)


def test_an_incident_is_known_by_the_name_of_its_file() -> None:
    one = Incident(what="load-failed", time_s=1_800_000_000.5, model="org/../a chat\n")
    assert one.id == "20270115T080000Z-load-failed.org-..-a-chat-"
    assert Known.of(one.id) == Known(1_800_000_000, "load-failed", "org-..-a-chat-")
    assert Known.of("20270115T080000Z-frontend-crash") == Known(1_800_000_000, "frontend-crash", "")
    for name in ("", "../etc/passwd", "20270115T080000Z", "20279915T080000Z-crash"):
        assert Known.of(name) is None
