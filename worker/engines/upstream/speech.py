"""Speech asked of an OpenAI-compatible server, and what its transcripts mean. No sockets here."""

from __future__ import annotations

from typing import Any

import msgspec

from ipc.facts.languages import code_of
from ipc.messages.errors import UnsupportedParameter
from ipc.messages.events import Segment, SpeechResult, Usage, Word
from ipc.messages.jobs import SpeechInput, Vad
from worker.engines.common.server_json import decode_answer, number, well_formed


class _Word(msgspec.Struct):
    word: str
    start: float
    end: float
    probability: float | None = None


class _Segment(msgspec.Struct):
    text: str | None = None
    start: float | None = None
    end: float | None = None
    seek: float | None = None
    tokens: list[int] | None = None
    temperature: float | None = None
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    words: list[_Word] | None = None


class _Transcript(msgspec.Struct):
    text: str | None = None
    language: str | None = None
    duration: float | None = None
    segments: list[_Segment] | None = None
    words: list[_Word] | None = None
    usage: Any = None

    def __post_init__(self) -> None:
        if self.text is None and self.segments is None:
            raise ValueError


def speech_form(asked: SpeechInput, model: str, *, verbose: bool) -> dict[str, Any]:
    """The fields beside the file; ``verbose`` asks for segments and times."""
    form: dict[str, Any] = {
        "model": model,
        "response_format": "verbose_json" if verbose else "json",
        "language": asked.language,
        "prompt": asked.prompt,
        "temperature": None if asked.temperature is None else str(asked.temperature),
        "timestamp_granularities[]": ["word", "segment"] if asked.word_times else None,
        **_chunking(asked.vad),
    }
    return {name: value for name, value in form.items() if value is not None}


def _chunking(vad: Vad | None) -> dict[str, str | None]:
    if vad is None:
        return {}
    keys = {
        "type": "server_vad",
        "threshold": vad.threshold,
        "silence_duration_ms": vad.silence_ms,
        "prefix_padding_ms": vad.padding_ms,
    }
    return {
        f"chunking_strategy[{key}]": None if value is None else str(value)
        for key, value in keys.items()
    }


_MAGIC = {b"RIFF": "wav", b"fLaC": "flac", b"OggS": "ogg", b"\x1aE\xdf\xa3": "webm"}


def file_name(audio: bytes) -> str:
    """A name for the upload with the ending that fits its bytes: some servers go by that alone."""
    kind = "mp4" if audio[4:8] == b"ftyp" else _MAGIC.get(audio[:4], "mp3")
    return f"audio.{kind}"


def speech_result(body: bytes, asked: SpeechInput) -> SpeechResult:
    """The transcript, whether verbose or brief; a brief one is a single segment.

    Raises `UnsupportedParameter` where word times were asked for and none came.
    """
    answer = decode_answer(body, _Transcript)
    used = answer.usage if isinstance(answer.usage, dict) else {}
    found = answer.segments or []
    text = _text(answer)
    duration_s = answer.duration or number(used.get("seconds")) or _end(found)
    if not found and text.strip():
        found = [_Segment(text=text, end=duration_s)]
    language = answer.language or asked.language or ("en" if asked.translate else "")
    tokens = sum(len(each.tokens or ()) for each in found)
    return SpeechResult(
        text=text,
        language=code_of(language) or language,
        duration_s=duration_s,
        segments=[_segment(at, segment) for at, segment in enumerate(found)],
        words=_words(answer, text) if asked.word_times else None,
        usage=Usage(
            prompt_tokens=int(number(used.get("input_tokens")) or 0),
            completion_tokens=int(number(used.get("output_tokens")) or tokens),
        ),
    )


def _text(answer: _Transcript) -> str:
    """The whole text, which may stand in the segments only."""
    whole = "".join(each.text or "" for each in answer.segments or ())
    return well_formed(whole if answer.text is None else answer.text)


def _end(segments: list[_Segment]) -> float:
    return max((each.end or 0.0 for each in segments), default=0.0)


def _segment(at: int, segment: _Segment) -> Segment:
    start = segment.start or 0.0
    return Segment(
        id=at,
        seek=int(segment.seek or 0),
        start=start,
        end=start if segment.end is None else segment.end,
        text=well_formed(segment.text or ""),
        tokens=segment.tokens or [],
        temperature=segment.temperature or 0.0,
        avg_logprob=segment.avg_logprob or 0.0,
        compression_ratio=segment.compression_ratio or 0.0,
        no_speech_prob=segment.no_speech_prob or 0.0,
    )


def _words(answer: _Transcript, text: str) -> list[Word]:
    """OpenAI lists the words beside the segments; servers on faster-whisper do in them."""
    words = answer.words or [word for each in answer.segments or () for word in each.words or ()]
    if text.strip() and not words:
        raise UnsupportedParameter(
            "this model gives no word times", param="timestamp_granularities"
        )
    return [
        Word(well_formed(word.word), word.start, word.end, word.probability or 0.0)
        for word in words
    ]
