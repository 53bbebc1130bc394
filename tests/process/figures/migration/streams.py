"""A greedy stream of a chat in one of the APIs, and a kill -9 of its worker amid it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.process.box import CHAT, Box, wait_until

# The longest that a stream may be silent before it counts as hung.
HUNG_S = 120.0
QUESTION = "Tell me a long story about a small boat on the open sea."
_TURNS = [{"role": "user", "content": QUESTION}]
_ENDS = ("response.completed", "response.incomplete", "message_stop")
_PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}
APIS = tuple(_PATHS)


def _body(api: str, tokens: int) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": CHAT, "stream": True, "temperature": 0}
    match api:
        case "responses":
            include = ["message.output_text.logprobs"]
            return asked | {"input": QUESTION, "max_output_tokens": tokens, "include": include}
        case "messages":
            return asked | {"messages": _TURNS, "max_tokens": tokens}
    asked |= {"stream_options": {"include_usage": True}, "logprobs": True, "ignore_eos": True}
    return asked | {"messages": _TURNS, "max_tokens": tokens}


@dataclass
class Answer:
    """What one stream brought: its texts as they came, with their times in seconds; the bytes of
    its ``tokens`` and their log probabilities, where the API tells them; how many its ``usage``
    counts, and its ends."""

    texts: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    tokens: list[tuple[bytes, float]] = field(default_factory=list)
    whole: str | None = None  # the text as its end has it, where the API says it again
    usage: int = 0
    ends: int = 0
    error: str = ""
    migrated: int = 0
    killed_at: float | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def gap_s(self) -> float:
        """The longest silence in it."""
        return self.gap[1] - self.gap[0]

    @property
    def gap(self) -> tuple[float, float]:
        """When the longest silence began and ended."""
        pairs = itertools.pairwise(self.times)
        return max(pairs, key=lambda pair: pair[1] - pair[0], default=(0.0, 0.0))

    @property
    def is_consistent(self) -> bool:
        """Whether its tokens and its end are its text: nothing is there twice or missing."""
        is_told = not self.tokens or b"".join(data for data, _ in self.tokens) == self.text.encode()
        return is_told and self.whole in (None, self.text)

    def read(self, line: str) -> None:
        """The next line of the stream."""
        self.ends += line == "data: [DONE]"
        self.migrated += line == ": migrated"
        if not line.startswith("data: {"):
            return
        event = json.loads(line.removeprefix("data: "))
        if error := event.get("error"):
            self.error = error.get("code") or error.get("type")
            return
        for text in _texts(event):
            self.texts.append(text)
            self.times.append(time.monotonic())
        self._read_facts(event)

    def _read_facts(self, event: dict[str, Any]) -> None:
        self.tokens += [(bytes(one["bytes"]), one["logprob"]) for one in _logprobs(event)]
        if event.get("type") == "response.output_text.done":
            self.whole = event["text"]
        self.ends += event.get("type") in _ENDS
        if usage := (event.get("response") or event).get("usage"):
            self.usage = usage.get("completion_tokens") or usage.get("output_tokens") or 0


def _texts(event: dict[str, Any]) -> Iterator[str]:
    match event.get("type"):
        case None:
            for choice in event["choices"]:
                if text := choice["delta"].get("content"):
                    yield text
        case "response.output_text.delta":
            yield event["delta"]
        case "content_block_delta":
            yield event["delta"]["text"]


def _logprobs(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if event.get("type") == "response.output_text.delta":
        yield from event["logprobs"]
    for choice in event.get("choices", ()):
        yield from (choice.get("logprobs") or {}).get("content") or ()


def ask(
    box: Box, api: str, tokens: int, killed_at: int = 0, kill: Callable[[], None] | None = None
) -> Answer:
    """A stream amid which ``kill`` is called, once so many pieces of it have come."""
    answer = Answer()
    body = _body(api, tokens)
    with box.client.stream("POST", _PATHS[api], json=body, timeout=HUNG_S) as got:
        for line in got.iter_lines():
            answer.read(line)
            if kill is not None and len(answer.texts) >= killed_at and answer.killed_at is None:
                answer.killed_at = time.monotonic()
                kill()
    return answer


def kill_worker(box: Box) -> None:
    """Kill the worker, and have its failures forgotten: an operator's restart closes the circuit
    that five of them in ten minutes would open. A worker that loads already is left alone by it."""
    pid = box.replica(CHAT)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: box.replica(CHAT)["pid"] != pid)
    box.client.post(f"/admin/models/{CHAT}/restart")
