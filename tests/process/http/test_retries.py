"""The official SDK with its defaults against real faults: how often it asks, counted in our log."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.process.box import CHAT, EMBED, Box, Gate, MakeBox, spec, wait_until


def ask(box: Box, text: str, model: str = CHAT) -> ChatCompletion:
    with openai.OpenAI(base_url=f"{box.url}/v1", api_key="unused") as client:
        return client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": text}]
        )


def statuses(box: Box, count: int) -> list[int]:
    """The status of each chat in the log, once there are ``count``; more would be found, too."""

    def look() -> list[int] | None:
        lines = [line for line in box.lines() if "path=/v1/chat/completions" in line]
        found = [int(re.findall(r"status=(\d+)", line)[0]) for line in lines]
        return found if len(found) >= count else None

    found: list[int] = wait_until(look)
    return found


def test_503_is_tried_three_times(make_box: MakeBox, gate: Gate) -> None:
    box = make_box(spec(CHAT, slots=1, prefetch=0, queue_timeout_s=0.2)).wait_ready()
    with ThreadPoolExecutor(1) as pool, gate:
        pool.submit(box.chat, gate.held("word"))
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 1)
        with pytest.raises(openai.InternalServerError) as refused:
            ask(box, "x")
    assert refused.value.status_code == 503
    assert statuses(box, 4)[:3] == [503, 503, 503]
    assert statuses(box, 4).count(503) == 3


def test_x_should_retry_false_is_not_tried_again(box: Box) -> None:
    with pytest.raises(openai.InternalServerError):
        ask(box, "/raise")
    assert statuses(box, 1) == [500]


def test_a_poison_request_costs_two_workers_and_no_more(box: Box) -> None:
    with pytest.raises(openai.InternalServerError) as refused:
        ask(box, "/exit 9 poison")
    assert (refused.value.status_code, refused.value.code) == (500, "poison_request")
    assert statuses(box, 2) == [503, 500]
    wait_until(lambda: box.replica(CHAT)["generation"] == 3)
    assert box.replica(CHAT)["restarts"] == 2


def test_retry_after_is_obeyed(make_box: MakeBox, gate: Gate) -> None:
    """Loading answers 503 with five seconds; the SDK's own patience is over after two."""
    box = make_box(spec(CHAT, options={**gate.loads, "load_s": 3.0}), spec(EMBED))
    wait_until(lambda: box.ask("/livez") == 200)
    with ThreadPoolExecutor(1) as pool, gate:
        answer = pool.submit(ask, box, "hello")
        statuses(box, 1)
        gate.open()  # three seconds from now at the earliest it is loaded
        assert answer.result().choices[0].message.content == "hello"
    # A busy machine may take longer than five seconds.
    assert statuses(box, 2) in ([503, 200], [503, 503, 200])


def test_a_crash_in_prefill_is_not_seen_by_those_who_use_the_sdk(box: Box, gate: Gate) -> None:
    with ThreadPoolExecutor(1) as pool, gate:
        answer = pool.submit(ask, box, gate.held("word"))
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 1)
        box.kill(CHAT)
        gate.open()
        assert answer.result().choices[0].message.content == "word"
    assert statuses(box, 2) == [503, 200]
