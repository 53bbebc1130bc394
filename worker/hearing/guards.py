"""Words that a model writes where nobody speaks: which pieces are left out, and by which rule.

A model for speech has been shown little silence, and fills it with what often stood there: thanks,
greetings, the end of a film. No single sign tells that from a short word which was said; two of
them together do. `tests/bench/sound/guards.py` measures what they leave out and what they lose.
Of a loop (`loops.py`) one round stays, and is then judged as any other text.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from worker.audio.cut import Piece, Voice
from worker.hearing.loops import unlooped
from worker.hearing.model import HOTTER, MIN_LOGPROB, NO_SPEECH, Heard

Rule = Literal["no_speech", "improbable", "no_voice", "phrase", "loop"]

# A voice that is neither sure nor long.
_UNSURE, _BRIEF_S = 0.6, 1.0
# What Whisper has been seen to write of silence, noise and music, in the languages of subtitles.
_PHRASES = frozenset({
    "you", "so", "yeah", "oh", "bye", "i don't know", "thank you", "thank you very much",
    "thank you for watching", "thanks for watching", "please subscribe",
    "see you in the next video", "the end", "vielen dank", "untertitel der amara.org community",
    "untertitel von stephanie geiges", "sous titres réalisés par la communauté d'amara.org",
    "merci d'avoir regardé cette vidéo", "subtítulos realizados por la comunidad de amara.org",
    "gracias por ver el video", "sottotitoli creati dalla comunità amara.org",
    "legendas pela comunidade amara.org", "napisy stworzone przez społeczność amara.org",
    "ご視聴ありがとうございました", "谢谢观看", "감사합니다", "продолжение следует",
})  # fmt: skip


class Bounds(NamedTuple):
    """``no_speech`` is openai/whisper's: no phrase that was said is more silent either, though a
    prompt may have made it probable. ``improbable`` is less probable than what it tries again,
    ``silent`` more silent than any short word that was said. What was drawn at the hottest of all
    tries, and would be tried again, is improbable too: it is another text each time. A phrase that
    was said has a surer voice and surer words than ``phrase_voice`` and ``phrase_logprob``."""

    no_speech: float = NO_SPEECH
    improbable: float = -1.5
    silent: float = 0.3
    phrase_voice: float = 0.8
    phrase_logprob: float = -0.7


BOUNDS = Bounds()


def guarded(
    heard: Heard, piece: Piece, *, voice_only: bool, bounds: Bounds = BOUNDS
) -> tuple[Heard, Rule | None]:
    """What is left of what was ``heard`` of a piece, and by which rule something was left out.

    ``voice_only`` says that the piece is one in which the filter found a voice; a request that does
    without that filter does without the rules that ask it.
    """
    once = unlooped(heard, piece.voice.seconds if voice_only else piece.seconds)
    left = once or heard
    rule = why_dropped(left, piece.voice, voice_only=voice_only, bounds=bounds)
    if rule is not None:
        return left.silenced(), rule
    return left, None if once is None else "loop"


def why_dropped(
    heard: Heard, voice: Voice, *, voice_only: bool, bounds: Bounds = BOUNDS
) -> Rule | None:
    """By which rule all that was ``heard`` of a piece of such a ``voice`` is left out, if any."""
    if not heard.text.strip():
        return None
    silent, logprob = heard.no_speech_prob, heard.avg_logprob
    if silent > bounds.no_speech and logprob < MIN_LOGPROB:
        return "no_speech"
    is_guess = heard.temperature >= HOTTER[-1]
    if silent > bounds.silent and logprob < (MIN_LOGPROB if is_guess else bounds.improbable):
        return "improbable"
    if voice_only and voice.most < _UNSURE and voice.seconds < _BRIEF_S:
        return "no_voice"
    unsure = voice_only and voice.mean < bounds.phrase_voice
    doubtful = logprob < bounds.phrase_logprob and (unsure or silent > bounds.silent)
    if (doubtful or silent > bounds.no_speech) and is_phrase(heard.text):
        return "phrase"
    return None


def is_phrase(text: str) -> bool:
    """Whether the whole of ``text`` is one that is often written where nobody speaks, once or
    several times; signs without a word are."""
    words = re.findall(r"[\w.']*[\w']", text.lower())
    if not words:
        return bool(text.strip())
    return any(
        words[:size] * (len(words) // size) == words and " ".join(words[:size]) in _PHRASES
        for size in range(1, len(words) + 1)
    )
