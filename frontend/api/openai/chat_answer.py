"""A chat answer in its two shapes: one object, or a stream of chunks."""

from __future__ import annotations

import hashlib
import time
import uuid
from typing import Any

import msgspec
import orjson

from frontend.api.openai.chat_chunks import Chunks
from frontend.api.openai.chat_objects import PLAIN, Shape, logprobs_object, usage_object
from frontend.api.whole_answer import WholeAnswer, WholeCall, WholeChoice
from frontend.http.sse import SseForm
from ipc.messages.events import ChatResult
from ipc.messages.spec import Spec


def fingerprint(spec: Spec) -> str:
    """A short name for how a model is run: it changes whenever the same seed may answer anew."""
    return "fp_" + hashlib.sha256(msgspec.msgpack.encode(spec)).hexdigest()[:10]


class Completion:
    """What one answer's parts have in common. ``shape`` is what was asked of them; the usage of a
    stream is told where it was asked for."""

    def __init__(
        self,
        model: str,
        system_fingerprint: str,
        shape: Shape = PLAIN,
        *,
        include_usage: bool = False,
    ) -> None:
        self._shape = shape
        self._include_usage = include_usage
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": system_fingerprint,
        }

    def whole(self, answer: WholeAnswer, result: ChatResult) -> bytes:
        """The answer to a client that did not ask for a stream."""
        choices = [
            {
                "index": at,
                "message": self._message(choice),
                "logprobs": logprobs_object(choice.logprobs),
                "finish_reason": self._shape.finish(finish),
            }
            for at, (choice, finish) in enumerate(answer.choices(result))
        ]
        usage = usage_object(result.usage, reasons=self._shape.reasons)
        return orjson.dumps(
            {**self._head, "object": "chat.completion", "choices": choices, "usage": usage}
        )

    def streamed(self) -> SseForm:
        head = {**self._head, "object": "chat.completion.chunk"}
        return SseForm(Chunks(head, self._shape, include_usage=self._include_usage).render)

    def _message(self, choice: WholeChoice) -> dict[str, Any]:
        """``content`` is null where there is none beside reasoning or calls; the keys of these two
        are there only with something in them."""
        text, reasoning = "".join(choice.texts), "".join(choice.reasoning)
        silent = not text and (choice.calls or reasoning)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if silent else text,
            "refusal": None,
        }
        if reasoning and self._shape.shows_reasoning:
            message |= {"reasoning_content": reasoning, "reasoning": reasoning}
        if choice.calls:
            message["tool_calls"] = [_call(call) for call in choice.calls]
        return message


def _call(call: WholeCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": "".join(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}
