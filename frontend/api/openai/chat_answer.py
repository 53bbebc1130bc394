"""A chat answer in its two shapes: one object, or a stream of chunks."""

from __future__ import annotations

import hashlib
import time
import uuid
from typing import Any

import msgspec
import orjson

from frontend.http.sse import DONE, Render, event
from ipc.messages.events import ChatResult, Delta, Done, Usage
from ipc.messages.spec import Spec

# Stands for the text while a chunk is cut into what comes before and after it. No name or id can
# contain it: they are printable, and JSON would escape it.
_HOLE = "\x00"


def fingerprint(spec: Spec) -> str:
    """A short name for how a model is run: it changes whenever the same seed may answer anew."""
    return "fp_" + hashlib.sha256(msgspec.msgpack.encode(spec)).hexdigest()[:10]


def usage_object(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


class Completion:
    """What one answer's parts have in common."""

    def __init__(self, model: str, system_fingerprint: str) -> None:
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": system_fingerprint,
        }

    def whole(self, text: str, result: ChatResult) -> bytes:
        """The answer to a client that did not ask for a stream."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": result.finish,
        }
        usage = usage_object(result.usage)
        return orjson.dumps(
            {**self._head, "object": "chat.completion", "choices": [choice], "usage": usage}
        )

    def chunks(self, *, include_usage: bool) -> Render:
        """Renders a stream's events, `Done` being the last, as chunks and the end marker.

        Only the text differs from one chunk to the next, so the rest is rendered once: a chunk
        costs the encoding of its text.
        """
        before, after = self._around_text(include_usage)
        opening = self._chunk({"role": "assistant", "content": ""}, None, include_usage)

        def render(events: list[Delta | Done]) -> bytes:
            nonlocal opening
            parts = [opening]
            opening = b""
            for item in events:
                if isinstance(item, Done):
                    parts.append(self._closing(item, include_usage))
                elif item.text:
                    parts += before, orjson.dumps(item.text), after
            return b"".join(parts)

        return render

    def _around_text(self, include_usage: bool) -> tuple[bytes, bytes]:
        chunk = self._chunk({"content": _HOLE}, None, include_usage)
        before, _, after = chunk.partition(orjson.dumps(_HOLE))
        return before, after

    def _closing(self, done: Done, include_usage: bool) -> bytes:
        assert isinstance(done.result, ChatResult)
        last = self._chunk({}, done.result.finish, include_usage)
        if not include_usage:
            return last + DONE
        usage = usage_object(done.result.usage)
        return last + event({**self._chunk_head, "choices": [], "usage": usage}) + DONE

    def _chunk(self, delta: dict[str, str], finish: str | None, include_usage: bool) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        tail = {"usage": None} if include_usage else {}
        return event({**self._chunk_head, "choices": [choice], **tail})

    @property
    def _chunk_head(self) -> dict[str, Any]:
        return {**self._head, "object": "chat.completion.chunk"}
