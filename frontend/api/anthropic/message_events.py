"""A message as a stream of named events."""

from __future__ import annotations

from typing import Any, assert_never

import orjson

from frontend.api.anthropic.errors import message_error
from frontend.api.anthropic.objects import call_block, stop_of, usage_object
from frontend.http.answer_stream import misplaced
from frontend.http.sse import SseForm, around_text, comment, named_event
from ipc.messages.errors import ServeError
from ipc.messages.events import (
    Audio,
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Done,
    Piece,
    Reasoning,
    Turn,
    Usage,
)

# The delta of each kind of block, and its key for what it adds.
_DELTAS = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
}
_BEGINNINGS = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


def _event(kind: str, **facts: Any) -> bytes:
    return named_event(kind, {"type": kind, **facts})


_PING = _event("ping")
_STOP = _event("message_stop")


class MessageEvents:
    """The form of one stream: what `MessageAnswer` tells whole, as it comes.

    A block is open at a time. Within one only the text of its events differs, so the rest is
    rendered once.
    """

    media_type = SseForm.media_type

    def __init__(
        self, head: dict[str, Any], request_id: str, *, only_reads: bool, shows_thinking: bool
    ) -> None:
        self._head = head
        self._request_id = request_id
        self._only_reads = only_reads
        self._shows_thinking = shows_thinking
        self._has_begun = False
        self._kind = ""  # of the open block; empty: none is
        self._at = -1  # its index, or that of the last one
        self._before = self._after = b""

    def keepalive(self) -> bytes:
        return _PING

    def comment(self, text: str) -> bytes:
        return comment(text)

    def failure(self, error: ServeError) -> bytes:
        return named_event("error", message_error(error, self._request_id))

    def render(self, events: list[Piece | Done]) -> bytes:
        """What goes out for ``events``, `Done` being the last of a stream."""
        parts: list[bytes] = []
        for item in events:
            if isinstance(item, Done):
                parts += self._ended(item)
            elif not self._only_reads:
                parts += self._told(item)
        return b"".join(parts)

    def _told(self, piece: Piece) -> list[bytes]:
        match piece:
            case Delta():
                return self._added("text", piece) if piece.text else []
            case Reasoning():
                return self._added("thinking", piece) if piece.text else []
            case CallOpened():
                block = call_block(piece.id, piece.name, {})
                return [*self._begun_by(piece), *self._opened("tool_use", block)]
            case CallArguments():
                return self._added("tool_use", piece) if piece.text else []
            case Audio() | Turn():
                raise misplaced(piece, "a chat")
            case _:
                assert_never(piece)

    def _added(self, kind: str, piece: Delta | Reasoning | CallArguments) -> list[bytes]:
        """More of a block of this ``kind``, which is opened where another one was."""
        opened: list[bytes] = []
        if kind != self._kind:
            opened = [*self._begun_by(piece), *self._opened(kind, _BEGINNINGS[kind])]
        if kind == "thinking" and not self._shows_thinking:
            return opened
        return [*opened, self._before, orjson.dumps(piece.text), self._after]

    def _begun_by(self, counted: Piece | Usage) -> list[bytes]:
        """The message's first event, once: with what its prompt took, as far as ``counted``
        knows."""
        if self._has_begun:
            return []
        self._has_begun = True
        usage = Usage(prompt_tokens=counted.prompt_tokens, cached_tokens=counted.cached_tokens)
        message = {
            **self._head,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_object(usage),
        }
        return [_event("message_start", message=message)]

    def _opened(self, kind: str, block: dict[str, Any]) -> list[bytes]:
        closed = self._closed()
        self._kind = kind
        self._at += 1
        delta, key = _DELTAS[kind]
        self._before, self._after = around_text(
            lambda text: self._delta({"type": delta, key: text})
        )
        return [*closed, _event("content_block_start", index=self._at, content_block=block)]

    def _closed(self) -> list[bytes]:
        """The end of the open block. What was thought is signed by nobody, and clients wait for a
        signature."""
        if not self._kind:
            return []
        signed = self._delta({"type": "signature_delta", "signature": ""})
        before = [signed] if self._kind == "thinking" else []
        self._kind = ""
        return [*before, _event("content_block_stop", index=self._at)]

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._at, delta=delta)

    def _ended(self, done: Done) -> list[bytes]:
        result = done.result
        assert isinstance(result, ChatResult)
        usage = usage_object(result.usage, only_reads=self._only_reads)
        delta = stop_of(result, only_reads=self._only_reads)
        return [
            *self._begun_by(result.usage),
            *self._closed(),
            _event("message_delta", delta=delta, usage=usage),
            _STOP,
        ]
