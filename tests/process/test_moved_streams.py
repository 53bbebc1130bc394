"""A chat that one of two servers has begun goes on in the other: nothing is lost, nothing is said
twice, whatever dies."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.process.box import CHAT, Box, Gate, boxes, spec, wait_until
from tests.process.streams import events, tokens

CHATS = "/v1/chat/completions"
WORDS = [f"w{number}" for number in range(40)]
SAID = " ".join(WORDS)
ARGUMENTS = json.dumps({"words": WORDS})
LOOK = {"type": "function", "function": {"name": "look", "parameters": {}}}


class Pair(NamedTuple):
    """Two servers with one model, and one ``near`` whose model is in both."""

    far: list[Box]
    near: Box

    def holder(self) -> Box:
        """The one that has a request in hand."""
        return next(box for box in self.far if box.queue(CHAT)["in_flight"])


@pytest.fixture(scope="module")
def kept() -> Iterator[Pair]:
    with boxes() as make:
        far = [make(spec(CHAT, slots=8), drain_s=0.5) for _ in range(2)]
        for box in far:
            box.wait_ready()
        options = {"base_url": [f"{box.url}/v1" for box in far]}
        near = make(spec(CHAT, engine="remote", options=options, slots=16)).wait_ready()
        yield Pair(far, near)


@pytest.fixture
def pair(kept: Pair) -> Pair:
    """All three of them are there, whatever the test before has killed."""
    for box in kept.far:
        if box.process.poll() is not None:
            box.start()
    for box in (*kept.far, kept.near):
        box.wait_ready()
    return kept


def die(box: Box) -> None:
    """Kill the whole server."""
    os.killpg(box.process.pid, signal.SIGKILL)
    box.process.wait()


def stream(box: Box, lines: list[str], text: str, path: str, asked: dict[str, Any]) -> None:
    """Ask, and keep every line of the answer as it comes."""
    body = {"model": CHAT, "stream": True, "max_tokens": 200, **asked}
    if path == "/v1/responses":
        body |= {"input": text, "max_output_tokens": body.pop("max_tokens")}
    else:
        body["messages"] = [{"role": "user", "content": text}]
    with box.client.stream("POST", path, json=body, timeout=120) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            lines.append(line)  # others look at it meanwhile  # noqa: PERF402


def far(path: str, lines: list[str]) -> int:
    """How many tokens have come."""
    return tokens(lines) if path == CHATS else len(text_of(lines).split())


def killed(
    pair: Pair, gate: Gate, after: int, text: str = SAID, path: str = CHATS, **asked: Any
) -> list[str]:
    """The lines of a stream whose server is killed after so many tokens."""
    lines: list[str] = []
    with ThreadPoolExecutor(1) as pool, gate:
        told = pool.submit(stream, pair.near, lines, gate.held(text, after=after), path, asked)
        wait_until(lambda: far(path, lines) == after)
        die(pair.holder())
        gate.open()
        told.result()
    assert lines.count(": migrated") == 1
    assert not any(event.get("error") for event in events(lines)), lines[-3:]
    return lines


def text_of(lines: list[str], choice: int = 0) -> str:
    def piece(event: dict[str, Any]) -> str:
        match event.get("type"):
            case "response.output_text.delta":
                return str(event["delta"])
            case "content_block_delta":
                return str(event["delta"]["text"])
            case None:
                of = [one for one in event["choices"] if one["index"] == choice]
                return "".join(one["delta"].get("content") or "" for one in of)
        return ""

    return "".join(map(piece, events(lines)))


@pytest.mark.parametrize("path", [CHATS, "/v1/responses", "/v1/messages"])
def test_a_stream_goes_on_in_the_other_server(pair: Pair, gate: Gate, path: str) -> None:
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if path == CHATS else {}
    lines = killed(pair, gate, 12, path=path, **more)
    assert text_of(lines) == SAID
    told = json.dumps(events(lines))
    assert f'"completion_tokens": {len(WORDS)}' in told or f'"output_tokens": {len(WORDS)}' in told


def test_no_character_is_lost_or_doubled_under_load(pair: Pair, gate: Gate) -> None:
    """Some of them are in the server that lives."""
    kept: list[list[str]] = [[] for _ in range(8)]
    text = gate.held(SAID, after=5)
    with ThreadPoolExecutor(8) as pool, gate:
        asked = [pool.submit(stream, pair.near, lines, text, CHATS, {}) for lines in kept]
        wait_until(lambda: all(tokens(lines) == 5 for lines in kept))
        die(pair.holder())
        gate.open()
        for each in asked:
            each.result()
    assert [text_of(lines) for lines in kept] == [SAID] * 8
    assert [lines.count("data: [DONE]") for lines in kept] == [1] * 8
    assert any(": migrated" in lines for lines in kept)
    assert pair.near.queue(CHAT)["in_flight"] == 0


def test_a_call_goes_on_in_its_middle(pair: Pair, gate: Gate) -> None:
    text = f"<think>{SAID}</think><call look>{ARGUMENTS}</call>"
    lines = killed(pair, gate, 50, text, tools=[LOOK])
    deltas = [choice["delta"] for event in events(lines) for choice in event["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls") or []]
    assert [call["function"]["name"] for call in calls if "name" in call["function"]] == ["look"]
    assert "".join(call["function"].get("arguments", "") for call in calls) == ARGUMENTS
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas).strip() == SAID
    (last,) = (one for event in events(lines) for one in event["choices"] if one["finish_reason"])
    assert last["finish_reason"] == "tool_calls"


def test_each_choice_goes_on_behind_its_own(pair: Pair, gate: Gate) -> None:
    lines = killed(pair, gate, 60, n=3, logprobs=True)
    assert [text_of(lines, choice) for choice in range(3)] == [SAID] * 3
    tokens = [
        one["token"].strip()
        for event in events(lines)
        for choice in event["choices"]
        if choice["index"] == 1
        for one in (choice.get("logprobs") or {}).get("content") or ()
    ]
    assert tokens == WORDS


def test_the_worker_between_may_die_too(pair: Pair, gate: Gate) -> None:
    lines: list[str] = []
    text = gate.held(SAID, after=12)
    with ThreadPoolExecutor(1) as pool, gate:
        asked = pool.submit(stream, pair.near, lines, text, CHATS, {})
        wait_until(lambda: tokens(lines) == 12)
        pair.near.kill(CHAT)
        gate.open()
        asked.result()
    assert text_of(lines) == SAID
    assert lines.count(": migrated") == 1


def test_both_servers_may_die_if_one_comes_back(pair: Pair, gate: Gate) -> None:
    lines: list[str] = []
    text = gate.held(SAID, after=12)
    with ThreadPoolExecutor(1) as pool, gate:
        asked = pool.submit(stream, pair.near, lines, text, CHATS, {})
        wait_until(lambda: tokens(lines) == 12)
        for box in pair.far:
            die(box)
        gate.open()
        pair.far[1].start()
        asked.result()
    assert text_of(lines) == SAID


def test_one_that_leaves_in_peace_hands_its_streams_over(pair: Pair, gate: Gate) -> None:
    lines: list[str] = []
    text = gate.held(SAID, after=5)
    with ThreadPoolExecutor(1) as pool, gate:
        asked = pool.submit(stream, pair.near, lines, text, CHATS, {})
        wait_until(lambda: tokens(lines) == 5)
        leaving = pair.holder()
        leaving.process.send_signal(signal.SIGTERM)
        leaving.process.wait()
        gate.open()
        asked.result()
    assert text_of(lines) == SAID
    assert lines.count("data: [DONE]") == 1


def test_tokens_that_a_model_does_not_have_are_refused(pair: Pair) -> None:
    asked: dict[str, Any] = {"stream": True, "migration": {"written": [[1], [2]]}}
    answer = pair.far[0].chat("hi", **asked)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "migration")
