"""One model in two servers: what is asked goes to either, whichever of them dies."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.process.box import CHAT, EMBED, Box, MakeBox, spec, wait_until

pytestmark = pytest.mark.long

WORDS = " ".join(f"w{number}" for number in range(20))
SLOW = f"/slow 50 {WORDS}"
# For longer than it takes to see that it is in hand.
LONG = f"/slow 250 {WORDS}"


def between(make_box: MakeBox, *far: Box, **changes: Any) -> Box:
    """An edge-serve whose models are in all of ``far``."""
    options = {"base_url": [f"{box.url}/v1" for box in far]}
    models = [spec(name, engine="remote", options=options, **changes) for name in (CHAT, EMBED)]
    return make_box(*models)


@pytest.fixture
def far(make_box: MakeBox) -> list[Box]:
    return [make_box(spec(CHAT, slots=4, prefetch=0), spec(EMBED)) for _ in range(2)]


@pytest.fixture
def near(make_box: MakeBox, far: list[Box]) -> Box:
    for box in far:
        box.wait_ready()
    return between(make_box, *far, slots=16, queue_limit=64).wait_ready()


def in_hand(box: Box) -> float:
    return box.queue(CHAT)["in_flight"]


def test_both_are_given_work(near: Box, far: list[Box]) -> None:
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(near.chat, SLOW) for _ in range(6)]
        wait_until(lambda: min(in_hand(box) for box in far) >= 2)
        assert {each.result().status_code for each in asked} == {200}


def is_answered(box: Box) -> bool:
    """Whether a chat is, before it would be behind others."""
    with contextlib.suppress(httpx2.TimeoutException):
        return box.chat("one", timeout=3).status_code == 200
    return False


def test_the_one_that_would_begin_first_is_asked(near: Box, far: list[Box]) -> None:
    """The first is filled by others. One after the other, requests would be sent to both in turn
    where nobody knew that."""
    busy, _ = far
    with ThreadPoolExecutor(16) as pool:
        for _ in range(16):
            pool.submit(busy.chat, "/slow 100 " + "w " * 60)
        wait_until(lambda: busy.queue(CHAT)["depth"] >= 8)
        wait_until(lambda: all(is_answered(near) for _ in range(4)))
        assert busy.queue(CHAT)["depth"]
        busy.die()


def outcomes(near: Box, count: int, between_: Callable[[list[int]], None]) -> Counter[str]:
    """What becomes of so many streams amid which something happens; that knows which have begun."""
    begun: list[int] = []

    def one(number: int) -> str:
        messages = [{"role": "user", "content": LONG}]
        body = {"model": CHAT, "messages": messages, "stream": True}
        with near.client.stream("POST", "/v1/chat/completions", json=body, timeout=60) as said:
            if said.status_code != 200:
                return str(json.loads(said.read())["error"]["code"])
            events = []
            for line in said.iter_lines():
                events += [line] if line.startswith("data: ") else []
                begun.extend([number] if '"w0' in line else [])
        errors = [json.loads(event[6:])["error"]["code"] for event in events if '"error":' in event]
        ends = events.count("data: [DONE]")
        assert len(errors) + ends == 1, events[-3:]
        return errors[0] if errors else "whole"

    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(one, number) for number in range(count)]
        between_(begun)
        return Counter(each.result() for each in asked)


def test_a_server_that_is_killed_costs_no_stream(near: Box, far: list[Box]) -> None:
    first, second = far

    def kill(begun: list[int]) -> None:
        wait_until(lambda: len(begun) >= 8 and in_hand(second) == 4)
        first.die()

    told = outcomes(near, 12, kill)
    assert told == {"whole": 12}
    assert near.queue(CHAT)["in_flight"] == 0
    assert outcomes(near, 4, lambda _: None) == {"whole": 4}


def test_what_was_not_begun_is_answered_by_the_other(near: Box, far: list[Box]) -> None:
    first, second = far
    first.die()
    answers = [near.embed(f"text {number}") for number in range(8)]
    assert {each.status_code for each in answers} == {200}
    second.die()
    refused = near.embed("x")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
    assert near.replica(EMBED)["restarts"] == 0


def test_one_that_comes_back_is_given_work_again(near: Box, far: list[Box]) -> None:
    first, _ = far
    first.die()
    assert near.chat("one").status_code == 200
    first.start()
    first.wait_ready()

    def is_asked() -> bool:
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(near.chat, "/slow 100 a b c d") for _ in range(2)]
            found = False
            while not all(each.done() for each in asked):
                found = found or in_hand(first) > 0
        return found

    wait_until(is_asked)


def test_one_that_is_away_at_the_start_is_met_later(make_box: MakeBox, far: list[Box]) -> None:
    first, second = far
    first.wait_ready()
    second.die()
    near = between(make_box, first, second).wait_ready()
    assert near.embed("x").status_code == 200
    second.start()
    second.wait_ready()
    first.die()
    wait_until(lambda: near.embed("x").status_code == 200)
    assert near.chat("one two").json()["choices"][0]["message"]["content"] == "one two"
