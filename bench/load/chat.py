"""Chat: answers, streamed or whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from bench.load.outcome import Outcome
from bench.load.server import Reply, Request, refused
from bench.words import Texts
from ipc.tasks import TASKS

# Text in an event, whatever the spaces in its JSON; "reasoning_content" is text as well.
_TEXT = re.compile(rb'content":\s*"(?!")')
_DATA = b"data:"
_END = b"[DONE]"
_ASKED = "Write a long story with these words."


class Chat:
    """Chats that answer ``prompt``, or prompts of random words, which no prefix cache has seen."""

    capability = TASKS["chat"].capability

    def __init__(
        self, prompt: str | None, words: int, max_tokens: int, temperature: float, *, stream: bool
    ) -> None:
        self._prompt = prompt
        self._texts = Texts(words, seed=None)
        self._options: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature}
        if stream:
            self._options |= {"stream": True, "stream_options": {"include_usage": True}}

    def request(self, model: str) -> Request:
        text = self._prompt or f"{self._texts.take(1)[0]}\n{_ASKED}"
        body = {"model": model, "messages": [{"role": "user", "content": text}], **self._options}
        return Request("/v1/chat/completions", orjson.dumps(body))

    def read(self, _: Request, reply: Reply) -> Outcome:
        if "stream" in self._options:
            return _read_stream(reply)
        answer = orjson.loads(reply.body)
        if not answer["choices"]:
            raise ValueError("no choices")
        return Outcome(reply.seconds, _amounts(answer.get("usage")))


def _read_stream(reply: Reply) -> Outcome:
    events = [line[len(_DATA) :].strip() for line in reply.body.splitlines() if _is_data(line)]
    for event in events:
        if event.startswith(b'{"error"'):
            return refused(reply, event)
    if not events or events[-1] != _END:
        return Outcome(reply.seconds, error="broken off", message="a stream without its end")
    amounts = _amounts(_usage(events))
    arrived = zip(reply.pieces, reply.times, strict=True)
    texts_at = [at for piece, at in arrived if _TEXT.search(piece)]
    if not texts_at:
        return Outcome(reply.seconds, amounts)
    tokens = amounts.get("completion_tokens", 0)
    return Outcome(
        reply.seconds,
        amounts,
        first_s=texts_at[0] - reply.sent_at,
        token_s=(texts_at[-1] - texts_at[0]) / (tokens - 1) if tokens > 1 else None,
    )


def _is_data(line: bytes) -> bool:
    return line.startswith(_DATA)


def _usage(events: list[bytes]) -> Any:
    """That of the last event that has one; None of a server that does not count."""
    for event in reversed(events):
        if b'"usage"' in event and (usage := orjson.loads(event)["usage"]):
            return usage
    return None


def _amounts(usage: Any) -> Mapping[str, float]:
    names = ("completion_tokens", "prompt_tokens")
    return {name: usage[name] for name in names} if usage else {}
