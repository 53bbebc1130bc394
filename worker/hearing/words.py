"""When each word of a piece is said, and which words are shown at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from faster_whisper.transcribe import merge_punctuations

PREPENDED = "\"'“¿([{-"
APPENDED = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001
_SENTENCE_ENDS = ".?!。？！"  # noqa: RUF001
# A shorter silence is a part of a word, and a longer one may be at its edges: the filter for voices
# is right to about so much.
_SILENCE_S, _SLACK_S = 0.3, 0.1
# No word is longer, and no shorter where there is room (openai/whisper's bounds are similar).
_LONGEST_WORD_S = 2.0
# A cue ends with a sentence if the first follows, without one if the second does; it is no longer
# than one person reads at once.
_BREATH_S, _PAUSE_S = 0.2, 0.6
_LONGEST_CUE_S, _LONGEST_CUE_CHARS = 7.0, 84


class Said(NamedTuple):
    """A word with the punctuation around it. Times in seconds."""

    text: str
    tokens: list[int]
    start: float
    end: float
    probability: float


Span = tuple[float, float]


def said(aligned: Sequence[Mapping[str, Any]], silences: Sequence[Span]) -> list[Said]:
    """The words of faster-whisper's ``aligned``, none of them in one of ``silences``.

    An alignment leaves no time between two words, so a pause is a part of one of them.
    """
    parts = [dict(word) for word in aligned]
    merge_punctuations(parts, PREPENDED, APPENDED)
    pauses = [
        (start + _SLACK_S, end - _SLACK_S) for start, end in silences if end - start >= _SILENCE_S
    ]
    return [_said(part, pauses) for part in parts if part["word"]]


def _said(part: Mapping[str, Any], pauses: Sequence[Span]) -> Said:
    start, end = float(part["start"]), float(part["end"])
    for pause in pauses:
        start, end = _without(start, end, pause)
    end = min(end, start + _LONGEST_WORD_S)
    return Said(part["word"], list(part["tokens"]), start, end, float(part["probability"]))


def _without(start: float, end: float, pause: Span) -> Span:
    """A word's times without a ``pause``: what is longer of it, before or behind, is the word."""
    since, until = pause
    if end <= since or until <= start:
        return start, end
    if since - start >= end - until:
        return min(start, since), since
    return until, max(end, until)


def cues(words: Sequence[Said]) -> Iterator[list[Said]]:
    """``words`` as they are shown, a sentence or less at once."""
    cue: list[Said] = []
    for word in words:
        if cue and _ends(cue, word):
            yield cue
            cue = []
        cue.append(word)
    if cue:
        yield cue


def _ends(cue: Sequence[Said], following: Said) -> bool:
    last = cue[-1]
    silence_s = following.start - last.end
    is_sentence = last.text.rstrip("\"'”)").endswith(tuple(_SENTENCE_ENDS))
    if silence_s >= (_BREATH_S if is_sentence else _PAUSE_S):
        return True
    chars = sum(len(word.text) for word in cue) + len(following.text)
    return following.end - cue[0].start > _LONGEST_CUE_S or chars > _LONGEST_CUE_CHARS
