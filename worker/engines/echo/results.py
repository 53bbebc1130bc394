"""What an echo comes to for each kind of question."""

from __future__ import annotations

import hashlib
import math
import struct

from ipc.messages.blob import Blob
from ipc.messages.events import (
    EmbedResult,
    RerankResult,
    Segment,
    SpeechResult,
    Token,
    TokenizeResult,
    Usage,
    Word,
)
from ipc.messages.jobs import (
    EmbedInput,
    RawPrompt,
    RerankInput,
    SpeechInput,
    Text,
    TokenizeInput,
    Tokens,
)


def prompt_text(prompt: RawPrompt) -> str:
    """A prompt as a text. Tokens are bytes here."""
    if isinstance(prompt, Tokens):
        return bytes(one % 256 for one in prompt.ids).decode(errors="replace")
    return prompt.text if isinstance(prompt, Text) else prompt.prefix


def tokens(asked: TokenizeInput, chat: str) -> TokenizeResult:
    texts = asked.texts
    if asked.chat is not None:
        texts = [chat]
    elif asked.ids is not None:
        texts = [prompt_text(Tokens(ids=asked.ids))]
    rows = [[Token(byte, bytes([byte])) for byte in text.encode()] for text in texts]
    return TokenizeResult(rows=rows, text="" if asked.texts else "".join(texts))


def vectors(asked: EmbedInput, dimensions: int) -> EmbedResult:
    texts = asked.texts or [" ".join(map(str, ids)) for ids in asked.tokens]
    rows = [_vector(text, dimensions) for text in texts]
    usage = Usage(prompt_tokens=sum(len(text.split()) for text in texts))
    return EmbedResult(
        vectors=Blob(b"".join(rows)), count=len(rows), dimensions=dimensions, usage=usage
    )


def scores(asked: RerankInput, query: str) -> RerankResult:
    wanted = set(query.split())
    found = [wanted & set(text.split()) for text in asked.documents]
    found_scores = [len(words) / max(1, len(wanted)) for words in found]
    return RerankResult(
        scores=Blob(struct.pack(f"<{len(found_scores)}f", *found_scores)),
        count=len(found_scores),
        usage=Usage(prompt_tokens=sum(len(f"{query} {text}".split()) for text in asked.documents)),
    )


def _vector(text: str, dimensions: int) -> bytes:
    """A unit vector that only this text has."""
    digest = hashlib.shake_256(text.encode("utf-8", "replace")).digest(2 * dimensions)
    values = [value / 32768 - 1 for value in struct.unpack(f"<{dimensions}H", digest)]
    norm = math.sqrt(sum(value * value for value in values))
    return struct.pack(f"<{dimensions}f", *(value / norm for value in values))


def transcript(asked: SpeechInput, text: str, usage: Usage) -> SpeechResult:
    words = text.split()
    segment = Segment(
        id=0,
        seek=0,
        start=0.0,
        end=float(len(words)),
        text=text,
        tokens=list(range(len(words))),
        temperature=asked.temperature or 0.0,
        avg_logprob=0.0,
        compression_ratio=1.0,
        no_speech_prob=0.0,
    )
    timed = [Word(word, float(at), float(at + 1), 1.0) for at, word in enumerate(words)]
    return SpeechResult(
        text=text,
        language=asked.language or "en",
        duration_s=float(len(words)),
        segments=[segment],
        words=timed if asked.word_times else None,
        usage=usage,
    )
