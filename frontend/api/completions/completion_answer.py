"""A completion in its two shapes, one object or a stream of them."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from typing import Any

import orjson

from frontend.api.completions.logprobs import TokenTexts
from frontend.api.openai.chat_objects import usage_object
from frontend.api.whole_answer import WholeAnswer, WholeChoice
from frontend.http.sse import DONE, SseForm, event
from ipc.messages.errors import InternalError
from ipc.messages.events import ChatResult, Delta, Done, Finish, Piece


class TextCompletion:
    """What one answer's parts have in common. The usage of a stream is told where it was asked
    for."""

    def __init__(self, model: str, system_fingerprint: str, *, include_usage: bool = False) -> None:
        self._include_usage = include_usage
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": system_fingerprint,
        }

    def whole(self, answer: WholeAnswer, result: ChatResult) -> bytes:
        """The answer to a client that did not ask for a stream."""
        choices = [
            _whole_choice(at, choice, finish)
            for at, (choice, finish) in enumerate(answer.choices(result))
        ]
        usage = usage_object(result.usage)
        return orjson.dumps({**self._head, "choices": choices, "usage": usage})

    def streamed(self) -> SseForm:
        return SseForm(_Chunks(self._head, include_usage=self._include_usage).render)


def _whole_choice(at: int, choice: WholeChoice, finish: Finish) -> dict[str, Any]:
    text = "".join(choice.texts)
    logprobs = None
    if choice.logprobs is not None:
        logprobs = TokenTexts().described(choice.logprobs, text, ends=True)
    return _choice(at, text, logprobs, finish)


class _Chunks:
    """The events of one stream: an object for each piece, one for each end, and the end marker."""

    def __init__(self, head: dict[str, Any], *, include_usage: bool) -> None:
        self._head = head
        self._include_usage = include_usage
        self._tokens: defaultdict[int, TokenTexts] = defaultdict(TokenTexts)

    def render(self, events: list[Piece | Done]) -> bytes:
        return b"".join(
            self._closing(item) if isinstance(item, Done) else self._piece(item) for item in events
        )

    def _piece(self, piece: Piece) -> bytes:
        if not isinstance(piece, Delta):
            raise InternalError("the model has answered a plain prompt with more than text")
        tokens = self._tokens[piece.choice]
        if piece.logprobs is not None:
            logprobs = tokens.described(piece.logprobs, piece.text)
            return self._chunk(_choice(piece.choice, piece.text, logprobs))
        tokens.pass_over(piece.text)
        return self._chunk(_choice(piece.choice, piece.text)) if piece.text else b""

    def _closing(self, done: Done) -> bytes:
        assert isinstance(done.result, ChatResult)
        finishes = enumerate([done.result.finish, *done.result.others])
        last = b"".join(self._chunk(_choice(at, "", None, finish)) for at, finish in finishes)
        if not self._include_usage:
            return last + DONE
        usage = usage_object(done.result.usage)
        return last + event({**self._head, "choices": [], "usage": usage}) + DONE

    def _chunk(self, choice: dict[str, Any]) -> bytes:
        tail = {"usage": None} if self._include_usage else {}
        return event({**self._head, "choices": [choice], **tail})


def _choice(
    at: int, text: str, logprobs: dict[str, Any] | None = None, finish: Finish | None = None
) -> dict[str, Any]:
    return {"index": at, "text": text, "logprobs": logprobs, "finish_reason": finish}
