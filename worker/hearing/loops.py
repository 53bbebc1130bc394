"""Text in which a model has run in a circle, told from what somebody says again and again. Pure.

A model that has written a phrase several times finds it likelier each time, so its own probability
says nothing against it. What does: that it never came to an end, that nobody could say so much in
the time that there is a voice, or that the whole is improbable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from worker.hearing.model import MIN_LOGPROB, Heard
from worker.hearing.units import Unit, units, without

# Who repeats himself less is taken at his word: four times in a row, eight words in all.
_TIMES, _WORDS = 4, 8
# Nobody says a word in less, nor a letter: laughter has eight words a second, quick English
# twenty-five letters.
FASTEST_WORD_S, FASTEST_LETTER_S = 0.1, 0.03


class Loop(NamedTuple):
    """From ``start`` on a text has the same ``period`` words again and again, up to ``end``."""

    start: int
    period: int
    end: int


def longest_loop(words: Sequence[str]) -> Loop | None:
    """The longest of ``words``, if they repeat themselves so often that they may be one."""
    found: list[Loop] = []
    for period in range(1, len(words) // _TIMES + 1):
        since = 0
        for at in range(len(words) - period + 1):
            if at < len(words) - period and words[at] == words[at + period]:
                continue
            length = at - since + period
            if length >= max(_TIMES * period, _WORDS):
                found.append(Loop(since, period, since + length))
            since = at + 1
    return max(found, key=lambda loop: (loop.end - loop.start, -loop.period), default=None)


def unlooped(heard: Heard, voice_s: float) -> Heard | None:
    """What was ``heard`` with the loop in it said once; None where it has none.

    ``voice_s`` is for how long somebody speaks in its piece.
    """
    found = units(heard.text)
    loop = longest_loop([unit.plain for unit in found])
    if loop is None or not _is_none_said(heard, found, loop, voice_s):
        return None
    once = loop.start + loop.period
    # Of a text that was broken off the last word may be a part of one.
    end = len(found) if _goes_on(heard, found, loop) else loop.end
    return without(heard, found[once].start, found[end - 1].end)


def _goes_on(heard: Heard, found: Sequence[Unit], loop: Loop) -> bool:
    """Whether the text was broken off in its loop."""
    return heard.is_unended and loop.end >= len(found) - 1


def _is_none_said(heard: Heard, found: Sequence[Unit], loop: Loop, voice_s: float) -> bool:
    if heard.avg_logprob < MIN_LOGPROB or _goes_on(heard, found, loop):
        return True
    letters = sum(len(unit.plain) for unit in found)
    return max(len(found) * FASTEST_WORD_S, letters * FASTEST_LETTER_S) > voice_s
