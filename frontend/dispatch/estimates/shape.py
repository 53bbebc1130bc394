"""What a job is like in numbers, so that others like it can be made. No word of it is here."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from frontend.dispatch.estimates.work import IMAGE_CHARS, TOKEN_CHARS
from ipc.messages.jobs import (
    ChatInput,
    EmbedInput,
    Fill,
    Image,
    Input,
    RawPrompt,
    RerankInput,
    SpeakInput,
    SpeechInput,
    Text,
    TokenizeInput,
    Tokens,
)

# Those that an encoder puts around each text: it begins, it ends.
MARK_TOKENS = 2


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``kind`` is the tag of its input. ``texts`` counts messages, prompts, texts or documents,
    ``chars`` all of theirs, ``tokens`` those that came as ids; ``images_bytes`` has each image's
    size, ``audio_bytes`` that of a recording. The others are what was asked of the sampling."""

    kind: str
    texts: int = 0
    chars: int = 0
    tokens: int = 0
    images_bytes: list[int] = []
    audio_bytes: int = 0
    tools: int = 0
    schema: bool = False
    n: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stops: int = 0
    logprobs: int | None = None
    reasoning_tokens: int | None = None


def shape_of(asked: Input) -> Shape:
    """That of a job."""
    match asked:
        case ChatInput():
            return _chat(asked)
        case EmbedInput():
            return Shape(
                kind="embed",
                texts=asked.count,
                chars=_chars(asked.texts),
                tokens=sum(map(len, asked.tokens)),
            )
        case RerankInput():
            chars = len(asked.query) + _chars(asked.documents)
            return Shape(kind="rerank", texts=len(asked.documents), chars=chars)
        case SpeechInput():
            size = asked.request_bytes or len(asked.audio.data)
            return Shape(kind="speech", audio_bytes=size, temperature=asked.temperature)
        case SpeakInput():
            return Shape(kind="speak", texts=1, chars=len(asked.text))
        case _:
            return Shape(kind="tokenize", texts=len(asked.texts), chars=_chars(asked.texts))


def tokens_of(asked: Input) -> tuple[float, float]:
    """How many tokens a job may be, of what is read and of what is written: each prompt of several
    is answered, and each document is read with the query. Of sound nobody knows, and to tokenize
    takes none."""
    shape = shape_of(asked)
    read = shape.chars + IMAGE_CHARS * len(shape.images_bytes)
    prompt, answers = read / TOKEN_CHARS + shape.tokens, shape.n
    match asked:
        case TokenizeInput():
            return 0.0, 0.0
        case ChatInput():
            answers = asked.choices
        case EmbedInput():
            prompt += MARK_TOKENS * asked.count
        case RerankInput():
            queries = len(asked.documents)
            prompt += len(asked.query) * (queries - 1) / TOKEN_CHARS + MARK_TOKENS * queries
        case _:
            pass
    return prompt, float((shape.max_tokens or 0) * answers)


def _chat(asked: ChatInput) -> Shape:
    sampling = asked.sampling
    chars, tokens, images = 0, 0, list[int]()
    for turn in asked.messages:
        if isinstance(turn.content, str):
            chars += len(turn.content)
            continue
        for part in turn.content:
            if isinstance(part, Image):
                images.append(len(part.file.data))
            else:
                chars += len(part.text)
    for prompt in asked.prompts:
        more_chars, more_tokens = _prompt(prompt)
        chars, tokens = chars + more_chars, tokens + more_tokens
    return Shape(
        kind="chat",
        texts=len(asked.messages) + len(asked.prompts),
        chars=chars,
        tokens=tokens,
        images_bytes=images,
        tools=len(asked.tools),
        schema=asked.form is not None,
        n=sampling.n,
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=sampling.seed,
        stops=len(sampling.stop),
        logprobs=sampling.logprobs,
        reasoning_tokens=asked.reasoning_tokens,
    )


def _prompt(prompt: RawPrompt) -> tuple[int, int]:
    """Its characters, and its tokens where it came as these."""
    match prompt:
        case Text():
            return len(prompt.text), 0
        case Tokens():
            return 0, len(prompt.ids)
        case Fill():
            files = sum(len(text) for _, text in prompt.files)
            return len(prompt.prefix) + len(prompt.suffix) + files, 0


def _chars(texts: Iterable[str]) -> int:
    return sum(map(len, texts))
