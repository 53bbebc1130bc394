"""A chat answer as a stream of chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import orjson

from frontend.api.openai.chat_objects import PLAIN, Shape, logprobs_object, usage_object
from frontend.api.openai.token_ids import by_last
from frontend.http.answer_stream import misplaced
from frontend.http.sse import DONE, around_text, event
from ipc.messages.events import (
    Audio,
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Done,
    Finish,
    Piece,
    Reasoning,
    Turn,
)


class Chunks:
    """Renders the events of one stream: a chunk for each piece, and the end marker.

    From chunk to chunk of text only that differs, so the rest is rendered once: a chunk costs the
    encoding of its text.
    """

    def __init__(self, head: dict[str, Any], shape: Shape = PLAIN, *, include_usage: bool) -> None:
        self._head = head
        self._shape = shape
        self._include_usage = include_usage
        self._before, self._after = around_text(lambda text: self._chunk(0, {"content": text}))
        self._opened: set[int] = set()  # the choices whose first chunk has gone out

    def render(self, events: list[Piece | Done]) -> bytes:
        """What goes out for ``events``, `Done` being the last of a stream."""
        if self._shape.names_tokens:
            return self._with_ids(events)
        parts: list[bytes] = []
        for item in events:
            if isinstance(item, Done):
                parts.append(self._closing(item))
            elif isinstance(item, Delta) and item.choice == 0 and item.logprobs is None:
                if item.text:
                    parts += self._opening(0), self._before, orjson.dumps(item.text), self._after
            elif not isinstance(item, Reasoning) or self._shape.shows_reasoning:
                parts.append(self._piece(item))
        return b"".join(parts)

    def _with_ids(self, events: list[Piece | Done]) -> bytes:
        parts: list[bytes] = []
        for item, ids in zip(events, by_last(events), strict=True):
            if isinstance(item, Done):
                parts.append(self._closing(item))
            else:
                parts.append(self._piece(item, ids))
        return b"".join(parts)

    def _opening(self, choice: int, content: str | None = "") -> bytes:
        """A choice's first chunk, once. Its ``content`` is null where what follows is none."""
        if choice in self._opened:
            return b""
        self._opened.add(choice)
        return self._chunk(choice, {"role": "assistant", "content": content})

    def _piece(self, piece: Piece, ids: Sequence[int] = ()) -> bytes:
        hidden = isinstance(piece, Reasoning) and not self._shape.shows_reasoning
        delta = {} if hidden else _delta(piece)
        # Those of reasoning and calls have no place in it: together they are those of the text.
        logprobs = logprobs_object(piece.logprobs) if isinstance(piece, Delta) else None
        if not delta and logprobs is None and not ids:
            return b""
        opening = self._opening(piece.choice, "" if isinstance(piece, Delta) else None)
        return opening + self._chunk(piece.choice, delta, logprobs=logprobs, ids=ids)

    def _closing(self, done: Done) -> bytes:
        assert isinstance(done.result, ChatResult)
        finishes = enumerate([done.result.finish, *done.result.others])
        last = b"".join(
            self._opening(choice) + self._chunk(choice, {}, self._shape.finish(finish))
            for choice, finish in finishes
        )
        if not self._include_usage:
            return last + DONE
        usage = usage_object(done.result.usage, reasons=self._shape.reasons)
        return last + event({**self._head, "choices": [], "usage": usage}) + DONE

    def _chunk(
        self,
        choice: int,
        delta: dict[str, Any],
        finish: Finish | None = None,
        logprobs: dict[str, Any] | None = None,
        ids: Sequence[int] = (),
    ) -> bytes:
        one = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        if ids:
            one["token_ids"] = [*ids]
        tail = {"usage": None} if self._include_usage else {}
        return event({**self._head, "choices": [one], **tail})


def _delta(piece: Piece) -> dict[str, Any]:
    """What a piece adds to the message; nothing for one without text.

    Clients add deltas up, so what is said once, such as a call's id, is in one of them only.
    """
    match piece:
        case Delta():
            return {"content": piece.text} if piece.text else {}
        case Reasoning():  # clients read either name
            return {"reasoning_content": piece.text, "reasoning": piece.text} if piece.text else {}
        case CallOpened():
            function = {"name": piece.name, "arguments": ""}
            call = {"index": piece.index, "id": piece.id, "type": "function", "function": function}
            return {"tool_calls": [call]}
        case CallArguments():
            function = {"arguments": piece.text}
            added = {"index": piece.index, "function": function}
            return {"tool_calls": [added]} if piece.text else {}
        case Audio() | Turn():
            raise misplaced(piece, "a chat")
        case _:
            assert_never(piece)
