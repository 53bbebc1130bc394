"""What a file of an incident tells, and what it never does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from frontend.incidents.document import Evidence, document, was_in_hand
from frontend.incidents.incident import Incident, What
from frontend.incidents.words import in_words
from ipc.messages.admin import BoxEvent

AT = 1_800_000_000.0
SECRET = "sk-my-secret"
DIED = Incident(
    what="memory",
    time_s=AT,
    model="whisper-base",
    facts={
        "child": "whisper-base-1",
        "reason": "killed by SIGKILL",
        "rss_mb": 1900.0,
        "cgroup": {"memory.max": 2 << 30},
    },
)


def request(at_s: float, **known: Any) -> dict[str, Any]:
    return {"time_s": AT + at_s, "id": "req_" + "0" * 32, "model": "whisper-base", **known}


def test_an_incident_is_told_in_a_sentence() -> None:
    assert in_words(DIED, 3) == (
        "whisper-base was killed by the kernel for want of memory (killed by SIGKILL), "
        "3 requests in hand, 1,900 MB in memory of a limit of 2,048 MB"
    )
    loop = Incident(what="crash", time_s=AT, model="chat", also=["circuit-open"], unfiled=4)
    assert in_words(loop, 1) == (
        "a worker of chat died, 1 request in hand; it is not started again for a while; "
        "4 like it before have no file"
    )


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"dispatched_s": 1.0}, True),  # it was never answered
        ({"dispatched_s": 1.0, "total_s": 10.02}, True),  # by its end
        ({"dispatched_s": 1.0, "total_s": 9.0}, False),  # it had ended
        ({"dispatched_s": 10.5}, False),  # it was the next worker's
        ({}, False),  # it waited
    ],
)
def test_what_was_in_hand_when_it_happened(known: dict[str, Any], expected: bool) -> None:
    one = {"at_s": -10.0, "model": "whisper-base", **known}
    assert was_in_hand(one, "whisper-base") is expected
    assert not was_in_hand(one, "another")


LOST = {"dispatched_s": 1.0, "total_s": 9.5, "error": "lost_with_frontend"}


@pytest.mark.parametrize(
    ("what", "known", "expected"),
    [
        ("frontend-crash", LOST, 1),  # it was last seen half a second before
        ("frontend-crash", {**LOST, "dispatched_s": None}, 1),  # it waited, and was cut too
        ("frontend-crash", {**LOST, "error": None}, 0),  # it had ended
        ("server-died", {**LOST, "total_s": 1.0}, 1),  # the server was down for some seconds
        ("crash", LOST, 0),
    ],
)
def test_what_a_frontend_had_in_hand_that_died(
    what: What, known: dict[str, Any], expected: int
) -> None:
    incident = Incident(what=what, time_s=AT)
    assert document(incident, Evidence(requests=[request(-10.0, **known)]))["in_hand"] == expected


def test_of_those_in_hand_it_is_said_which_went_on_and_which_were_refused() -> None:
    on = request(-10, dispatched_s=1.0, earlier=[(1.0, 10.01, "worker_died")])
    refused = request(-10, dispatched_s=1.0, total_s=10.02, error="worker_crashed")
    by_another = request(-10, dispatched_s=1.0, earlier=[(1.0, 5.0, "worker_died")])
    found = document(DIED, Evidence(requests=[on, on, refused, by_another]))
    assert (found["in_hand"], found["went_on"], found["refused"]) == (4, 2, 1)
    died = Incident(what="crash", time_s=AT, model="chat")
    assert in_words(died, 4, 2, 1) == (
        "a worker of chat died, 4 requests in hand (2 went on with the next worker, 1 was refused)"
    )


def test_requests_stand_in_their_order_by_seconds_from_the_incident_on() -> None:
    found = Evidence(
        requests=[request(-1, key="bob"), request(-9.25, key="eve"), request(-2, key="bob")]
    )
    told = document(DIED, found)["requests"]
    assert [(one["at_s"], one["client"]) for one in told] == [(-9.25, 1), (-2, 2), (-1, 2)]


def test_nothing_that_clients_or_operators_have_written_is_in_it() -> None:
    found = Evidence(
        requests=[
            request(-1, key=SECRET, client="10.1.2.3", id=SECRET),
            request(-2, client="10.1.2.3", waiting={"why": SECRET}),
        ],
        events=[
            BoxEvent(
                seq=1,
                time_s=AT - 1,
                type="replica.exit",
                facts={"reason": f"cannot reach http://me:{SECRET}@10.0.0.1/v1"},
            )
        ],
        logs={"whisper-base-1": [SECRET, f"ValueError: {SECRET}"]},
        settings={"hf_endpoint": f"https://me:{SECRET}@hub.example/x"},
        specs=[
            {"name": "a", "options": {"command": f"serve --api-key {SECRET}"}},
            {"name": "b", "options": {"base_url": f"http://me:{SECRET}@host/v1"}},
        ],
    )
    told = json.dumps(document(DIED, found))
    assert SECRET not in told
    assert "10.1.2.3" not in told
    assert "https://...@hub.example/x" in told


def test_what_could_not_be_found_is_said() -> None:
    assert document(DIED, Evidence(missing={"processes": "no answer"}))["missing"] == {
        "processes": "no answer"
    }
