"""A transcript in the five forms that the API knows, and as a stream of events."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import msgspec

from frontend.http.answer_stream import misplaced
from frontend.http.sse import event
from ipc.facts.languages import name_of
from ipc.messages.events import Delta, Done, Piece, Segment, SpeechResult, Usage

_LEAST_S = 0.001


def plain(result: SpeechResult) -> str:
    return result.text.strip() + "\n"


def srt(segments: Sequence[Segment]) -> str:
    """SubRip: numbered cues, a comma before the milliseconds. It has no way to escape anything; an
    arrow in a text would be read as times, so it gets shorter."""
    cues = (
        f"{number}\n{_times(cue, ',')}\n{_line(cue).replace('-->', '->')}\n\n"
        for number, cue in enumerate(_shown(segments), start=1)
    )
    return "".join(cues)


def vtt(segments: Sequence[Segment]) -> str:
    """WebVTT: a header line, a dot before the milliseconds, texts escaped as its grammar asks for
    (a bare ``<`` would begin a tag and take what follows with it)."""
    cues = (
        f"{_times(cue, '.')}\n{html.escape(_line(cue), quote=False)}\n\n"
        for cue in _shown(segments)
    )
    return "WEBVTT\n\n" + "".join(cues)


def _shown(segments: Sequence[Segment]) -> list[Segment]:
    """The cues: one without text would end at once, and take the next one's number for text."""
    return [segment for segment in segments if segment.text.strip()]


def _times(cue: Segment, mark: str) -> str:
    """When a cue is shown: for a millisecond at least, as WebVTT asks for."""
    end_s = max(cue.end, max(0.0, cue.start) + _LEAST_S)
    return f"{clock(cue.start, mark)} --> {clock(end_s, mark)}"


def clock(seconds: float, mark: str) -> str:
    """``3723.4567`` as ``01:02:03,457``, with ``mark`` before the milliseconds."""
    whole, ms = divmod(round(max(0.0, seconds) * 1000), 1000)
    minutes, s = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{s:02}{mark}{ms:03}"


def _line(cue: Segment) -> str:
    """A cue's text in one line, since an empty line would end it early."""
    return " ".join(cue.text.split())


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


def events(batch: list[Piece | Done]) -> bytes:
    """A stream's events; ``transcript.text.done`` is the last, no other marker follows. Raises
    `InternalError` for a piece that a transcript cannot have."""
    return b"".join(map(_event, batch))


def _event(item: Piece | Done) -> bytes:
    if isinstance(item, Delta):
        return event({"type": "transcript.text.delta", "delta": item.text}) if item.text else b""
    if not isinstance(item, Done):
        raise misplaced(item, "a transcript")
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
