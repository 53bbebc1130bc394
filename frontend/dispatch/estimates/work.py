"""How much there is to do for a job, as far as its request tells."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from ipc.messages.jobs import (
    ChatInput,
    EmbedInput,
    Fill,
    Input,
    Message,
    RawPrompt,
    RerankInput,
    SpeakInput,
    SpeechInput,
    Text,
    Tokens,
)

# What others than texts are to the model, in characters: a token of English has four or so, and
# most vision models make a few hundred tokens of an image.
TOKEN_CHARS = 4
IMAGE_CHARS = 1024
_CONTAINERS = {b"OggS": "ogg", b"fLaC": "flac", b"\x1aE\xdf\xa3": "matroska"}


@dataclass(frozen=True, slots=True)
class Work:
    """What a model reads, in characters, of sound in bytes or, in a WAV file, in seconds: each
    ``kind`` has a unit of its own. ``write_limit`` is how many tokens it may write, 0 where its
    answer is no text that comes token by token; an ``exact`` one writes as many."""

    read: float
    write_limit: int = 0
    exact: bool = False
    kind: str = ""

    @property
    def writes(self) -> bool:
        return self.write_limit > 0


def work_of(asked: Input) -> Work:
    """That of a request."""
    match asked:
        case ChatInput():
            return _chat(asked)
        case EmbedInput():
            return Work(_chars(asked.texts) + TOKEN_CHARS * sum(map(len, asked.tokens)))
        case RerankInput():
            return Work(_chars(asked.documents) + len(asked.query) * len(asked.documents))
        case SpeechInput():
            if asked.streamed and not asked.request_bytes:  # nobody knows how much will follow
                return Work(0.0, kind="streamed")
            return _sound(asked.audio.data, asked.request_bytes or len(asked.audio.data))
        case SpeakInput():
            return Work(len(asked.text) / asked.speed)
        case _:
            return Work(0.0, kind="tokenize")  # no model runs


def _chars(texts: Iterable[str]) -> int:
    return sum(map(len, texts))


def _chat(asked: ChatInput) -> Work:
    sampling = asked.sampling
    read = sum(map(_message_chars, asked.messages)) + sum(map(_prompt_chars, asked.prompts))
    read += sum(len(tool.parameters or "") + len(tool.description or "") for tool in asked.tools)
    exact = sampling.ignore_eos or sampling.min_tokens >= sampling.max_tokens
    return Work(read, max(1, sampling.max_tokens), exact)


def _message_chars(message: Message) -> int:
    calls = _chars(call.arguments for call in message.tool_calls)
    return len(message.text) + calls + IMAGE_CHARS * len(message.images)


def _prompt_chars(prompt: RawPrompt) -> int:
    match prompt:
        case Text(text):
            return len(text)
        case Tokens():
            return TOKEN_CHARS * len(prompt.ids)
        case Fill():
            files = _chars(text for _, text in prompt.files)
            return len(prompt.prefix) + len(prompt.suffix) + files


def _sound(data: bytes, size_bytes: int) -> Work:
    """Of a compressed file, which begins with ``data``, only its size is known before somebody
    decodes it."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE" and len(data) >= 32:
        bytes_a_second: int = struct.unpack_from("<I", data, 28)[0]
        if bytes_a_second:
            return Work(size_bytes / bytes_a_second, kind="wav")
    return Work(size_bytes, kind=_container(data))


def _container(data: bytes) -> str:
    """One of few, whatever a client sends: durations are kept for each."""
    if data[4:8] == b"ftyp":
        return "mp4"
    if data[:3] == b"ID3" or data[:1] == b"\xff":
        return "mpeg"
    return _CONTAINERS.get(data[:4], "other")
