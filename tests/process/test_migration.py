"""A worker dies while it writes: its streams go on with the next one, in every API, and say what
they would have said."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.process.box import CHAT, Box, Gate, MakeBox, spec, wait_until
from tests.process.streams import events, tokens

WORDS = [f"w{number}" for number in range(40)]
SAID = " ".join(WORDS)
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/api/chat")


def body(path: str, text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    match path:
        case "/v1/chat/completions":
            return {"messages": messages, "stream_options": {"include_usage": True}}
        case "/v1/completions":
            usage = {"include_usage": True}
            return {"prompt": text, "max_tokens": 100, "stream_options": usage}
        case "/v1/responses":
            return {"input": text}
        case "/v1/messages":
            return {"messages": messages, "max_tokens": 100}
        case _:
            return {"messages": messages}


@pytest.fixture
def box(make_box: MakeBox) -> Box:
    return make_box(spec(CHAT, slots=8), ollama=True).wait_ready()


def stream(box: Box, path: str, text: str, lines: list[str]) -> None:
    """Ask, and keep every line of the answer as it comes."""
    asked = {"model": CHAT, "stream": True, **body(path, text)}
    with box.client.stream("POST", path, json=asked, timeout=120) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            lines.append(line)  # others look at it meanwhile  # noqa: PERF402


def text_of(path: str, lines: list[str]) -> str:
    def piece(event: dict[str, Any]) -> str:
        match path:
            case "/v1/chat/completions":
                choices = event["choices"]
                return (choices[0]["delta"].get("content") or "") if choices else ""
            case "/v1/completions":
                return event["choices"][0]["text"] if event["choices"] else ""
            case "/v1/responses":
                return event["delta"] if event["type"] == "response.output_text.delta" else ""
            case "/v1/messages":
                is_text = event["type"] == "content_block_delta"
                return event["delta"]["text"] if is_text else ""
            case _:
                return str(event["message"]["content"])

    return "".join(map(piece, events(lines)))


def tokens_of(path: str, lines: list[str]) -> int:
    """How many tokens its end counts."""
    last = [event for event in events(lines) if event.get("type") != "message_stop"][-1]
    match path:
        case "/v1/responses":
            last = last["response"]
        case "/api/chat":
            return int(last["eval_count"])
    usage = last["usage"]
    return int(usage.get("completion_tokens") or usage["output_tokens"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("words", [1, 12])
def test_a_stream_says_the_same_whenever_its_worker_is_killed(
    box: Box, gate: Gate, path: str, words: int
) -> None:
    lines: list[str] = []
    with ThreadPoolExecutor(1) as pool, gate:
        asked = pool.submit(stream, box, path, gate.held(SAID, after=words), lines)
        wait_until(lambda: len(text_of(path, lines).split()) == words)
        box.kill(CHAT)
        gate.open()
        asked.result()
    assert text_of(path, lines).split() == WORDS, lines[-4:]
    assert tokens_of(path, lines) == len(WORDS)
    assert lines.count(": migrated") == (path != "/api/chat")
    assert "worker_crashed" not in "".join(lines)


def test_eight_streams_and_whole_answers_go_on_together(box: Box, gate: Gate) -> None:
    kept: list[list[str]] = [[] for _ in range(6)]
    text = gate.held(SAID, after=10)
    with ThreadPoolExecutor(8) as pool, gate:
        asked = [pool.submit(stream, box, "/v1/chat/completions", text, lines) for lines in kept]
        whole = [pool.submit(box.chat, text) for _ in range(2)]
        wait_until(lambda: all(tokens(lines) == 10 for lines in kept))
        wait_until(lambda: box.queue(CHAT)["in_flight"] == 8)
        box.kill(CHAT)
        gate.open()
        for each in asked:
            each.result()
        answers = [each.result() for each in whole]
    assert all(text_of("/v1/chat/completions", lines).split() == WORDS for lines in kept)
    for answer in answers:
        assert answer.json()["choices"][0]["message"]["content"].split() == WORDS
    assert box.queue(CHAT)["in_flight"] == 0


def test_thoughts_and_calls_go_on_where_they_were(box: Box, gate: Gate) -> None:
    """Killed amid the arguments of a call."""
    arguments = json.dumps({"words": WORDS})
    text = f"<think>{' '.join(WORDS[:9])}</think><call look>{arguments}</call>"
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    lines = killed(box, gate, 25, text, tools=tools)
    deltas = [event["choices"][0]["delta"] for event in events(lines) if event["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls") or []]
    assert [call["function"]["name"] for call in calls if "name" in call["function"]] == ["look"]
    assert "".join(call["function"].get("arguments", "") for call in calls) == arguments
    thought = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    assert thought.split() == WORDS[:9]


def chat_stream(box: Box, lines: list[str], text: str, **body: Any) -> None:
    """Ask for a chat, and keep every line of the answer as it comes."""
    asked = {"model": CHAT, "stream": True, "messages": [{"role": "user", "content": text}], **body}
    with box.client.stream("POST", "/v1/chat/completions", json=asked, timeout=120) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            lines.append(line)  # others look at it meanwhile  # noqa: PERF402


def killed(box: Box, gate: Gate, after: int, text: str, **body: Any) -> list[str]:
    """The lines of a chat whose worker is killed after so many tokens."""
    lines: list[str] = []
    with ThreadPoolExecutor(1) as pool, gate:
        asked = pool.submit(chat_stream, box, lines, gate.held(text, after=after), **body)
        wait_until(lambda: tokens(lines) == after)
        box.kill(CHAT)
        gate.open()
        asked.result()
    assert lines.count(": migrated") == 1
    assert lines.count("data: [DONE]") == 1
    return lines


def choices(lines: list[str]) -> Iterator[dict[str, Any]]:
    for event in events(lines):
        yield from event["choices"]


def test_each_of_several_choices_goes_on_behind_its_own(box: Box, gate: Gate) -> None:
    lines = killed(box, gate, 50, SAID, n=3, stream_options={"include_usage": True})
    said: dict[int, str] = {}
    for choice in choices(lines):
        text = choice["delta"].get("content") or ""
        said[choice["index"]] = said.get(choice["index"], "") + text
    assert [said[at].split() for at in range(3)] == [WORDS] * 3
    assert tokens_of("/v1/chat/completions", lines) == 3 * len(WORDS)


def test_each_token_has_its_log_probability_once(box: Box, gate: Gate) -> None:
    lines = killed(box, gate, 12, SAID, logprobs=True)
    told = [
        one["token"].strip()
        for choice in choices(lines)
        for one in (choice.get("logprobs") or {}).get("content") or []
    ]
    assert told == WORDS


def test_several_choices_have_their_log_probabilities_once(box: Box, gate: Gate) -> None:
    asked = {"n": 4, "logprobs": True, "stream_options": {"include_usage": True}}
    lines = killed(box, gate, 50, SAID, **asked)
    told: dict[int, list[str]] = {}
    ends = []
    for choice in choices(lines):
        found = (choice.get("logprobs") or {}).get("content") or []
        told.setdefault(choice["index"], []).extend(one["token"].strip() for one in found)
        ends += [choice["index"]] if choice["finish_reason"] else []
    assert told == dict.fromkeys(range(4), WORDS)
    assert sorted(ends) == [0, 1, 2, 3]
    assert tokens_of("/v1/chat/completions", lines) == 4 * len(WORDS)


def test_a_call_that_must_be_made_goes_on(box: Box, gate: Gate) -> None:
    arguments = json.dumps({"words": WORDS})
    text = f"<call look>{arguments}</call>"
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}, "strict": True}}]
    lines = killed(box, gate, 9, text, tools=tools, tool_choice="required")
    calls = [call for choice in choices(lines) for call in choice["delta"].get("tool_calls") or []]
    assert "".join(call["function"].get("arguments", "") for call in calls) == arguments


def test_a_prompt_that_is_repeated_is_repeated_once(box: Box, gate: Gate) -> None:
    lines: list[str] = []
    text = gate.held(SAID, after=9)
    body = {"model": CHAT, "stream": True, "prompt": text, "max_tokens": 100, "echo": True}

    def ask() -> None:
        with box.client.stream("POST", "/v1/completions", json=body, timeout=120) as answer:
            for line in answer.iter_lines():
                lines.append(line)  # noqa: PERF402

    with ThreadPoolExecutor(1) as pool, gate:
        asked = pool.submit(ask)
        wait_until(
            lambda: len(text_of("/v1/completions", lines)) == len(SAID + " ".join(WORDS[:9]))
        )
        box.kill(CHAT)
        gate.open()
        asked.result()
    assert text_of("/v1/completions", lines) == SAID + SAID


def test_a_stream_is_read_on_where_its_client_was_though_its_worker_died_meanwhile(
    box: Box, gate: Gate
) -> None:
    """The client leaves, the worker is killed, and the client comes back by its offset."""
    path = "/v1/chat/completions"
    asked = {"model": CHAT, "stream": True, **body(path, gate.held(SAID, after=12))}
    headers = {"x-request-resume": "1"}
    read = b""
    with box.client.stream("POST", path, json=asked, headers=headers) as answer:
        stream_id = answer.headers["x-stream-id"]
        for piece in answer.iter_raw():
            read += piece
            if tokens(read.decode(errors="ignore").splitlines()[:-1]) > 8:
                break
    box.kill(CHAT)
    gate.open()
    # Now a part of what came after the kill, and then the rest: three readers, one stream.
    for _ in range(2):
        where = {"id": stream_id, "from": str(len(read))}
        with box.client.stream("GET", "/v1/stream", params=where, timeout=120) as answer:
            for piece in answer.iter_raw():
                read += piece
                if b": migrated" in piece:
                    break
    lines = read.decode().splitlines()
    assert text_of("/v1/chat/completions", lines).split() == WORDS
    assert tokens_of("/v1/chat/completions", lines) == len(WORDS)
    assert (lines.count(": migrated"), lines.count("data: [DONE]")) == (1, 1)
    again = box.client.get("/v1/stream", params={"id": stream_id})
    assert again.content == read


def test_a_hung_worker_is_replaced_and_its_stream_goes_on(make_box: MakeBox, gate: Gate) -> None:
    box = make_box(spec(CHAT, slots=2, stall_s=2.0)).wait_ready()
    lines: list[str] = []
    text = gate.held(SAID, after=9)
    with ThreadPoolExecutor(1) as pool, gate:
        asked = pool.submit(stream, box, "/v1/chat/completions", text, lines)
        wait_until(lambda: tokens(lines) == 9)
        os.kill(box.replica(CHAT)["pid"], signal.SIGSTOP)
        gate.open()
        asked.result()
    assert text_of("/v1/chat/completions", lines).split() == WORDS


def test_where_it_is_off_the_stream_ends_with_an_error(make_box: MakeBox, gate: Gate) -> None:
    box = make_box(spec(CHAT, migrate=False)).wait_ready()
    lines: list[str] = []
    text = gate.held(SAID, after=9)
    with ThreadPoolExecutor(1) as pool, gate:
        asked = pool.submit(stream, box, "/v1/chat/completions", text, lines)
        wait_until(lambda: tokens(lines) == 9)
        box.kill(CHAT)
        asked.result()
    assert "worker_crashed" in "".join(lines)
    assert "data: [DONE]" not in lines
