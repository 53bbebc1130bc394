"""Which words of a turn are told while it goes on, each once and for good. Pure.

A turn is heard again and again, each time as far as it has come. Its last words are often wrong,
since their end is missing. So a word is told if it ends a guard before the edge of what was heard
and two runs in a row have it, or if it ends so far before the edge that more sound would hardly
change it. This joins LocalAgreement (Macháček et al., 2023, arXiv 2307.14743) with a guard at the
edge, as AlignAtt has one in attention (Papi et al., 2023, arXiv 2305.11408).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from worker.hearing.units import plain
from worker.hearing.words import Said

# A word that ends so long before the guard needs no second run.
SURE_S = 0.8
# A word that is heard again has moved by no more.
_MOVED_S = 1.0


class ToldWords:
    """The words of one turn. Times are seconds of it."""

    def __init__(self, guard_s: float) -> None:
        self._guard_s = guard_s
        self._told: list[Said] = []
        self._before: list[str] = []  # what the last run had behind those that are told now
        self.text = ""
        self.unstable = ""

    @property
    def last_end_s(self) -> float:
        """Where the last told word ends, 0 where there is none."""
        return self._told[-1].end if self._told else 0.0

    @property
    def last(self) -> str:
        """The last words that were told, for a run that does not hear them any more."""
        return " ".join(self.text.split()[-50:])

    def hear(self, words: Sequence[Said], edge_s: float, *, timed: bool = True) -> str:
        """A run has heard ``words`` up to ``edge_s``: what is told now. Words that are not
        ``timed`` have times that are guessed: only those that two runs agree on are told."""
        rest = self._untold(words)
        agreed = sum(1 for _ in takewhile(_same, zip(rest, self._before, strict=False)))
        count = 0
        for at, word in enumerate(rest):
            guard_s = self._guard_s if at < agreed else self._guard_s + SURE_S
            if word.end > edge_s - guard_s or (at >= agreed and not timed):
                break
            count = at + 1
        self._before = [plain(word.text) for word in rest[count:]]
        self.unstable = "".join(word.text for word in rest[count:]).strip()
        return self._tell(rest[:count])

    def end(self, words: Sequence[Said]) -> tuple[str, bool]:
        """The last run over all that is left: what is told now, and whether it has other words
        than were told."""
        heard = {plain(word.text) for word in words}
        recent = [word for word in self._told if words and word.end > words[0].start]
        revised = any(plain(word.text) not in heard for word in recent)
        rest = self._untold(words)
        self.unstable = ""
        return self._tell(rest), revised

    def _untold(self, words: Sequence[Said]) -> list[Said]:
        """What of ``words`` comes behind those that were told: behind the last told one, where it
        was heard again, else behind its end."""
        spoken = [word for word in words if plain(word.text)]
        if not self._told:
            return spoken
        last = self._told[-1]
        again = [
            at
            for at, word in enumerate(spoken)
            if plain(word.text) == plain(last.text) and abs(word.end - last.end) <= _MOVED_S
        ]
        if again:
            nearest = min(again, key=lambda at: abs(spoken[at].end - last.end))
            return spoken[nearest + 1 :]
        return [word for word in spoken if (word.start + word.end) / 2 > last.end]

    def _tell(self, words: Sequence[Said]) -> str:
        self._told += words
        text = "".join(word.text for word in words)
        if not self.text:
            text = text.lstrip()
        self.text += text
        return text


def _same(pair: tuple[Said, str]) -> bool:
    return plain(pair[0].text) == pair[1]


def guessed(text: str, start_s: float, end_s: float) -> list[Said]:
    """The words of a ``text`` whose model tells no times, as if each letter took equally long."""
    words = text.split()
    letter_s = (end_s - start_s) / max(1, sum(len(word) + 1 for word in words))
    found, at_s = [], start_s
    for word in words:
        until_s = at_s + letter_s * (len(word) + 1)
        found.append(Said(f" {word}", [], at_s, until_s, 0.0))
        at_s = until_s
    return found
