"""Speech asked of an OpenAI-compatible server, and what its transcripts mean. No sockets here."""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.languages import code_of
from ipc.types import Segment, SpeechInput, SpeechResult, Usage, Word
from worker.engines.upstream_errors import decode


class _Segment(msgspec.Struct):
    text: str = ""
    start: float = 0.0
    end: float = 0.0
    seek: int | None = None
    tokens: list[int] | None = None
    temperature: float | None = None
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None


class _Word(msgspec.Struct):
    word: str
    start: float
    end: float


class _SpeechUsage(msgspec.Struct):
    seconds: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Transcript(msgspec.Struct):
    text: str
    language: str | None = None
    duration: float | None = None
    segments: list[_Segment] | None = None
    words: list[_Word] | None = None
    usage: _SpeechUsage | None = None


def speech_form(asked: SpeechInput, model: str, *, verbose: bool) -> dict[str, Any]:
    """The fields beside the file; ``verbose`` asks for segments and times."""
    form: dict[str, Any] = {
        "model": model,
        "response_format": "verbose_json" if verbose else "json",
        "language": asked.language,
        "prompt": asked.prompt,
        "temperature": None if asked.temperature is None else str(asked.temperature),
        "timestamp_granularities[]": ["word", "segment"] if asked.word_times else None,
    }
    return {name: value for name, value in form.items() if value is not None}


_MAGIC = {b"RIFF": "wav", b"fLaC": "flac", b"OggS": "ogg", b"\x1aE\xdf\xa3": "webm"}


def file_name(audio: bytes) -> str:
    """A name for the upload with the ending that fits its bytes: some servers go by that alone."""
    kind = "mp4" if audio[4:8] == b"ftyp" else _MAGIC.get(audio[:4], "mp3")
    return f"audio.{kind}"


def speech_result(body: bytes, asked: SpeechInput) -> SpeechResult:
    """The transcript, whether verbose or brief; a brief one is a single segment."""
    answer = decode(body, _Transcript)
    used = answer.usage or _SpeechUsage()
    found = answer.segments or []
    ends = [segment.end for segment in found]
    duration_s = answer.duration or used.seconds or max(ends, default=0.0)
    if not found and answer.text.strip():
        found = [_Segment(text=answer.text, end=duration_s)]
    language = answer.language or asked.language or ("en" if asked.translate else "")
    return SpeechResult(
        text=answer.text,
        language=code_of(language) or language,
        duration_s=duration_s,
        segments=[_segment(number, segment) for number, segment in enumerate(found)],
        words=_words(answer) if asked.word_times else None,
        usage=Usage(
            prompt_tokens=used.input_tokens or 0,
            completion_tokens=used.output_tokens or sum(len(each.tokens or ()) for each in found),
        ),
    )


def _segment(number: int, segment: _Segment) -> Segment:
    return Segment(
        id=number,
        seek=segment.seek or 0,
        start=segment.start,
        end=segment.end,
        text=segment.text,
        tokens=segment.tokens or [],
        temperature=segment.temperature or 0.0,
        avg_logprob=segment.avg_logprob or 0.0,
        compression_ratio=segment.compression_ratio or 0.0,
        no_speech_prob=segment.no_speech_prob or 0.0,
    )


def _words(answer: _Transcript) -> list[Word]:
    return [Word(word.word, word.start, word.end) for word in answer.words or []]
