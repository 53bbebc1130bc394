"""A response in its two shapes: one object, or the events by which it comes about."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from frontend.api.responses.output_items import (
    PLAIN,
    ItemEvent,
    OutputItem,
    Shape,
    Status,
    item_of,
)
from frontend.api.translated import renamed
from frontend.api.whole_answer import WholeAnswer, WholeCall, WholeChoice, WholeText
from frontend.http.sse import KEEPALIVE, comment, named_event
from ipc.messages.errors import InternalError, ServeError
from ipc.messages.events import CallArguments, ChatResult, Done, Finish, Piece, Usage

# Why an answer is not all that the model had to say.
_INCOMPLETE: Mapping[Finish, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
Keep = Callable[[dict[str, Any]], None]


def keep_nothing(_: dict[str, Any]) -> None:
    """What becomes of a response that nobody will ask for again."""


class Response:
    """What one response's parts have in common.

    ``told`` is what it repeats of the request, ``names`` what the places of its chat are called by
    the client. ``keep`` is given the response once it has ended, before the client is told.
    """

    def __init__(
        self,
        model: str,
        told: Mapping[str, Any],
        shape: Shape = PLAIN,
        *,
        names: Mapping[str, str] | None = None,
        keep: Keep = keep_nothing,
    ) -> None:
        self._stem = uuid.uuid4().hex
        self._shape = shape
        self._names = names or {}
        self._keep = keep
        self._head = {
            "id": f"resp_{self._stem}",
            "object": "response",
            "created_at": int(time.time()),
            "model": model,
            "background": False,
            "truncation": "disabled",
            **told,
        }

    def whole(self, answer: WholeAnswer, result: ChatResult) -> bytes:
        """The response to a client that did not ask for a stream."""
        ((choice, _),) = answer.choices(result)
        self.say_something(choice)
        return orjson.dumps(self.ended(choice, result))

    def streamed(self) -> ResponseStream:
        return ResponseStream(self)

    def begun(self) -> dict[str, Any]:
        """It, as long as nothing has been said."""
        return self._object("in_progress", [])

    def ended(self, choice: WholeChoice, result: ChatResult) -> dict[str, Any]:
        """All of it."""
        why = _INCOMPLETE.get(result.finish)
        status: Status = "incomplete" if why else "completed"
        response = self._object(
            status,
            self._output(choice, status),
            incomplete_details={"reason": why} if why else None,
            usage=_usage(result.usage),
        )
        self._keep(response)
        return response

    def failed(self, choice: WholeChoice, error: ServeError) -> dict[str, Any]:
        """It, as far as it has come."""
        error = renamed(error, self._names)
        told = {"code": error.code, "message": error.message}
        return self._object("failed", self._output(choice, "incomplete"), error=told)

    def say_something(self, choice: WholeChoice) -> bool:
        """An answer without anything gets a message, which is empty; whether it was such a one."""
        silent = not self._shape.shown(choice.blocks)
        if silent:
            choice.blocks.append(WholeText())
        return silent

    def items(self, choice: WholeChoice) -> list[OutputItem]:
        blocks = self._shape.shown(choice.blocks)
        return [item_of(one, at, f"{self._stem}_", self._shape) for at, one in enumerate(blocks)]

    def _output(self, choice: WholeChoice, last: Status) -> list[dict[str, Any]]:
        """The items. That of the ``last`` block may be cut off; those before it are whole."""
        blocks = self._shape.shown(choice.blocks)
        cut = len(blocks) - 1 if blocks and blocks[-1] is choice.blocks[-1] else len(blocks)
        return [item.told(last if item.at == cut else "completed") for item in self.items(choice)]

    def _object(self, status: str, output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        ends = {"error": None, "incomplete_details": None, "usage": None}
        return {**self._head, "status": status, "output": output, **ends, **more}


class ResponseStream:
    """The events of one response, numbered without gaps. The last one has all of it."""

    media_type = b"text/event-stream; charset=utf-8"

    def __init__(self, response: Response) -> None:
        self._response = response
        self._choice = WholeChoice()
        self._open: OutputItem | None = None
        self._begun = 0  # items
        self._number = 0

    def keepalive(self) -> bytes:
        return KEEPALIVE

    def comment(self, text: str) -> bytes:
        return comment(text)

    def render(self, events: list[Piece | Done]) -> bytes:
        parts = [*self._beginning()]
        for event in events:
            parts += self._end(event) if isinstance(event, Done) else self._add(event)
        return b"".join(parts)

    def failure(self, error: ServeError) -> bytes:
        begun = b"".join(self._beginning())
        response = self._response.failed(self._choice, error)
        return begun + self._event("failed", {"response": response})

    def _beginning(self) -> Iterator[bytes]:
        if not self._number:
            yield self._event("created", {"response": self._response.begun()})
            yield self._event("in_progress", {"response": self._response.begun()})

    def _add(self, piece: Piece) -> Iterator[bytes]:
        blocks = self._choice.blocks
        before = len(blocks)
        self._choice.add(piece)
        if isinstance(piece, CallArguments) and not isinstance(blocks[-1], WholeCall):
            raise InternalError(f"call {piece.index} of the answer went on behind another block")
        if len(blocks) > before:
            yield from self._close("completed")
            yield from self._begin()
        if self._open is not None:
            yield from map(self._told, self._open.grown(piece))

    def _end(self, done: Done) -> Iterator[bytes]:
        assert isinstance(done.result, ChatResult)
        if self._response.say_something(self._choice):
            yield from self._begin()
        response = self._response.ended(self._choice, done.result)
        yield from self._close(response["status"])
        yield self._event(response["status"], {"response": response})

    def _begin(self) -> Iterator[bytes]:
        """The last block's item begins, where it becomes one."""
        items = self._response.items(self._choice)
        if len(items) > self._begun:
            self._begun += 1
            self._open = items[-1]
            yield from map(self._told, self._open.opened())

    def _close(self, status: Status) -> Iterator[bytes]:
        if self._open is None:
            return
        yield from map(self._told, self._open.closed())
        done = {"output_index": self._open.at, "item": self._open.told(status)}
        yield self._event("output_item.done", done)
        self._open = None

    def _told(self, event: ItemEvent) -> bytes:
        return self._event(event.kind, event.data)

    def _event(self, kind: str, data: Mapping[str, Any]) -> bytes:
        name, number = f"response.{kind}", self._number
        self._number += 1
        return named_event(name, {"type": name, "sequence_number": number, **data})


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": 0,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
