"""What clients ask for, as requests of this server's own routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from frontend.in_process import JSON, Asked
from frontend.multipart import form
from frontend.wyoming.catalog import Chosen
from frontend.wyoming.conversations import Turn
from ipc.facts.languages import code_of
from ipc.tasks import TASKS

# An answer that is spoken: a minute of speech.
MAX_TOKENS = 200
# What the route takes of names and words that may occur.
MAX_HINT_CHARS = 4096
# What the route's `pcm` is.
SOUND = {"rate": 24_000, "width": 2, "channels": 1}


def transcription(file: bytes, model: str, wish: Mapping[str, Any]) -> Asked:
    """The words of ``file``, as the ``transcribe`` that has come before wishes."""
    fields = {"model": model, "stream": "true"}
    language = wish.get("language")
    if isinstance(language, str) and (code := code_of(language)) is not None:
        fields["language"] = code
    if hints := _hints(wish):
        fields["prompt"] = hints
    kind, body = form(fields, "recording.wav", file)
    return Asked("POST", TASKS["speech"].path, headers=(kind,), body=body)


def speech(text: str, chosen: Chosen) -> Asked:
    """``text`` as sound."""
    body = {"model": chosen.model, "input": text, "response_format": "pcm"}
    return _post(TASKS["speak"].path, body | ({"voice": chosen.voice} if chosen.voice else {}))


def chat(text: str, before: Sequence[Turn], model: str, *, reasons: bool) -> Asked:
    """An answer to ``text``. A model that ``reasons`` is told not to: nobody would hear it."""
    messages = [message for turn in before for message in _messages(turn)]
    messages.append({"role": "user", "content": text})
    body = {"model": model, "messages": messages, "max_tokens": MAX_TOKENS, "stream": True}
    return _post(TASKS["chat"].path, body | ({"enable_thinking": False} if reasons else {}))


def _post(path: str, body: Mapping[str, Any]) -> Asked:
    return Asked("POST", path, headers=(JSON,), body=orjson.dumps(body))


def _messages(turn: Turn) -> list[Mapping[str, str]]:
    return [
        {"role": "user", "content": turn.asked},
        {"role": "assistant", "content": turn.answered},
    ]


def _hints(wish: Mapping[str, Any]) -> str:
    """Names first, then terms, as many as there is room for."""
    given = [wish.get(key) for key in ("transcript_names", "transcript_terms")]
    every = [word for words in given if isinstance(words, list) for word in words]
    told = ", ".join(word.replace("\0", "") for word in every if isinstance(word, str))
    return told[:MAX_HINT_CHARS]
