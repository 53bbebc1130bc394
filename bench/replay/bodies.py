"""Requests of the shapes that were recorded, of other words: what is sent."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import orjson

from bench.client import form
from bench.load.server import Request
from bench.replay.material import RATE_HZ, Words, picture, speech
from bench.replay.recording import Recorded

# English words of common texts have about so many characters, with the space behind.
CHARS_A_WORD = 6
TOOL_BYTES = 128
SECONDS_OF_A_BYTE = 1 / (2 * RATE_HZ)  # where nobody knows how long a recording was

# How many words make so many tokens for a model; None: nobody knows.
WordsFor = Callable[[str, int], int | None]


class Bodies:
    """Makes them for models that are called otherwise now, as ``names`` says."""

    def __init__(self, names: dict[str, str], words_for: WordsFor, words: Words) -> None:
        self._names = names
        self._words_for = words_for
        self._words = words

    def request(self, one: Recorded) -> Request:
        """What is sent for it."""
        match one.kind:
            case "chat":
                return self._prompt(one) if one.path == "/v1/completions" else self._chat(one)
            case "embed":
                return self._json("/v1/embeddings", one, input=self._texts(one))
            case "rerank":
                query, *documents = self._texts(one, more=1)
                return self._json("/v1/rerank", one, query=query, documents=documents)
            case "speech":
                return self._recording(one)
            case "speak":
                return self._json("/v1/audio/speech", one, input=self._text(one), voice="alloy")
            case _:
                return self._json("/tokenize", one, prompt=" ".join(self._texts(one)))

    def _chat(self, one: Recorded) -> Request:
        text = {"type": "text", "text": self._text(one)}
        pictures = [_image(size) for size in one.shape.images_bytes]
        content: Any = [text, *pictures] if pictures else text["text"]
        tools = [_tool(number) for number in range(one.shape.tools)]
        messages = [{"role": "user", "content": content}]
        more: dict[str, Any] = {"tools": tools} if tools else {}
        if one.shape.schema:
            more["response_format"] = _FORM
        return self._written("/v1/chat/completions", one, messages=messages, **more)

    def _prompt(self, one: Recorded) -> Request:
        return self._written("/v1/completions", one, prompt=self._text(one))

    def _written(self, path: str, one: Recorded, **body: Any) -> Request:
        asked = ("max_tokens", "temperature", "top_p", "top_k", "seed")
        known = ((name, getattr(one.shape, name)) for name in asked)
        body |= {name: value for name, value in known if value is not None}
        if one.shape.n != 1:
            body["n"] = one.shape.n
        if (most := _length(one)) is not None:
            body["max_tokens"] = most
        if one.shape.stops:
            body["stop"] = [f"\x1f{number}" for number in range(min(4, one.shape.stops))]
        if one.streams:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return self._json(path, one, **body)

    def _recording(self, one: Recorded) -> Request:
        seconds = one.audio_s or one.shape.audio_bytes * SECONDS_OF_A_BYTE
        body, content_type = form({"model": self._name(one)}, "replay.wav", speech(seconds))
        return Request("/v1/audio/transcriptions", body, content_type)

    def _json(self, path: str, one: Recorded, **body: Any) -> Request:
        return Request(path, orjson.dumps({"model": self._name(one), **body}))

    def _name(self, one: Recorded) -> str:
        return self._names.get(one.model, one.model)

    def _text(self, one: Recorded) -> str:
        count = self._count(one)
        known = one.prompt_tokens or 0
        seen = int(count * one.cached_tokens / known) if known else 0
        return self._words.take(count, seen)

    def _texts(self, one: Recorded, more: int = 0) -> list[str]:
        texts = (one.shape.texts or 1) + more
        each = max(1, self._count(one) // texts)
        return [self._words.take(each) for _ in range(texts)]

    def _count(self, one: Recorded) -> int:
        """How many words it has."""
        tokens = one.prompt_tokens or one.shape.tokens
        if tokens and (words := self._words_for(self._name(one), tokens)) is not None:
            return max(1, words)
        return max(1, round(one.shape.chars / CHARS_A_WORD))


def most_bytes(one: Recorded) -> int:
    """How much is sent for it, at most: a word is a token or more."""
    shape = one.shape
    words = max(shape.chars // CHARS_A_WORD, one.prompt_tokens or 0, shape.tokens, shape.texts)
    sound = (one.audio_s or 0) / SECONDS_OF_A_BYTE or shape.audio_bytes
    parts = sum(shape.images_bytes) * 4 // 3 + shape.tools * TOOL_BYTES + round(sound)
    return words * (CHARS_A_WORD + 1) + parts


def _length(one: Recorded) -> int | None:
    """An answer that came to its end by itself was as long as it was: it is no longer now."""
    written = one.outcome.tokens
    if one.outcome.ended != "ok" or not written or one.shape.n != 1:
        return None
    most = one.shape.max_tokens
    return min(written, most) if most else written


def _image(size_bytes: int) -> dict[str, Any]:
    data = base64.b64encode(picture(size_bytes)).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def _tool(number: int) -> dict[str, Any]:
    properties = {"value": {"type": "string"}}
    parameters = {"type": "object", "properties": properties}
    function = {"name": f"replayed_{number}", "parameters": parameters}
    return {"type": "function", "function": function}


_FORM = {
    "type": "json_schema",
    "json_schema": {
        "name": "replayed",
        "schema": {
            "type": "object",
            "properties": {"value": {"type": "string"}},
            "required": ["value"],
            "additionalProperties": False,
        },
    },
}
