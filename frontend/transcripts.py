"""A transcript in the five forms that the API knows, and as a stream of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from frontend.sse import event
from ipc.languages import name_of
from ipc.types import Delta, Done, Segment, SpeechResult, Usage


def plain(result: SpeechResult) -> str:
    return result.text.strip() + "\n"


def srt(segments: Sequence[Segment]) -> str:
    """SubRip: numbered cues, a comma before the milliseconds."""
    cues = (
        f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{_caption(cue)}\n\n"
        for number, cue in enumerate(segments, start=1)
    )
    return "".join(cues)


def vtt(segments: Sequence[Segment]) -> str:
    """WebVTT: a header line, a dot before the milliseconds."""
    cues = (
        f"{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{_caption(cue)}\n\n"
        for cue in segments
    )
    return "WEBVTT\n\n" + "".join(cues)


def clock(seconds: float, mark: str) -> str:
    """``3723.4567`` as ``01:02:03,457``, with ``mark`` before the milliseconds."""
    whole, ms = divmod(round(max(0.0, seconds) * 1000), 1000)
    minutes, s = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{s:02}{mark}{ms:03}"


def _caption(cue: Segment) -> str:
    # An arrow or an empty line would end the cue early.
    return " ".join(cue.text.split()).replace("-->", "->")


def brief(result: SpeechResult) -> dict[str, Any]:
    """The ``json`` form."""
    return {"text": result.text.strip(), "usage": _duration(result)}


def verbose(
    result: SpeechResult, *, translate: bool, segments: bool, words: bool
) -> dict[str, Any]:
    """The ``verbose_json`` form, with the granularities that were asked for."""
    body: dict[str, Any] = {
        "task": "translate" if translate else "transcribe",
        "language": name_of(result.language),
        "duration": result.duration_s,
        "text": result.text.strip(),
    }
    if words:
        body["words"] = [
            {"word": word.word.strip(), "start": word.start, "end": word.end}
            for word in result.words or []
        ]
    if segments:
        body["segments"] = [msgspec.structs.asdict(segment) for segment in result.segments]
    return {**body, "usage": _duration(result)}


def events(batch: list[Delta | Done]) -> bytes:
    """A stream's events; ``transcript.text.done`` is the last, no other marker follows."""
    return b"".join(map(_event, batch))


def _event(item: Delta | Done) -> bytes:
    if isinstance(item, Delta):
        return event({"type": "transcript.text.delta", "delta": item.text}) if item.text else b""
    assert isinstance(item.result, SpeechResult)
    usage = _tokens(item.result.usage)
    text = item.result.text.strip()
    return event({"type": "transcript.text.done", "text": text, "usage": usage})


def _duration(result: SpeechResult) -> dict[str, Any]:
    return {"type": "duration", "seconds": result.duration_s}


def _tokens(usage: Usage) -> dict[str, Any]:
    return {
        "type": "tokens",
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
