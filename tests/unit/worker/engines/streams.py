"""Answers as servers stream them, and what is read of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ipc.messages.events import ChatResult, Delta, Piece
from ipc.messages.jobs import ChatInput, Message, Sampling
from worker.engines.upstream.answer import ChatAnswer
from worker.engines.upstream.events import EventReader
from worker.engines.upstream.servers import ANY, Server

Event = dict[str, Any] | str
DONE = "[DONE]"
COUNTS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chat(sampling: dict[str, Any] | None = None, **asked: Any) -> ChatInput:
    """A chat that asks for nothing but this."""
    return ChatInput(
        messages=[Message("user", "hi")],
        sampling=Sampling(max_tokens=9, **(sampling or {})),
        **asked,
    )


def chunk(delta: Any, finish: Any = None, at: int = 0, **more: Any) -> dict[str, Any]:
    choice = {"index": at, "delta": delta, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "choices": [choice], **more}


def counted(counts: Any, **more: Any) -> bytes:
    """A whole stream that ends with ``counts``."""
    return stream([*HELLO, end()[0], {"id": "x", "choices": [], "usage": counts, **more}, DONE])


def said(*texts: str, finish: Any = None) -> list[Event]:
    """Chunks of ``texts`` as most servers send them."""
    return [chunk({"role": "assistant"}, finish), *(chunk({"content": t}, finish) for t in texts)]


def end(reason: Any = "stop") -> list[Event]:
    return [chunk({}, reason), DONE]


HELLO = said("Hello", " world")


def stream(
    events: Sequence[Event], before: str = "data: ", after: str = "\n\n", **form: Any
) -> bytes:
    texts = [each if isinstance(each, str) else json.dumps(each, **form) for each in events]
    return "".join(before + text + after for text in texts).encode()


def whole(message: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion", "choices": [choice], **more}


def read(
    body: bytes,
    piece_bytes: int | None = None,
    *,
    asked: ChatInput | None = None,
    server: Server = ANY,
    written: Mapping[int, Sequence[int]] | None = None,
) -> tuple[list[Piece], ChatResult]:
    """The pieces and the result of an answer whose bytes come so. Raises its `ServeError`."""
    reader, answer = EventReader(), ChatAnswer("j", asked or chat(), server, written)
    size = piece_bytes or max(1, len(body))
    events = [
        each for at in range(0, len(body), size) for each in reader.feed(body[at : at + size])
    ]
    pieces = [piece for each in [*events, *reader.end()] for piece in answer.feed(each)]
    if answer.whole:
        pieces += answer.close()
    return pieces, answer.result()


def text_of(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Delta))
