"""What is asked, prompts and texts of common words, and how much of what was said was heard."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence

ANSWER_TOKENS = 64
# all-MiniLM-L6-v2 adds so many tokens of its own; each of these words is one.
SPECIAL_TOKENS = 2
TEXT_WORDS = 20
_WORDS = (
    "water house river morning people city garden winter music paper window mountain letter "
    "summer animal island market school forest engine bridge doctor kitchen village captain "
    "history picture weather station country machine evening journey silver yellow green small "
    "large quiet early happy simple little strong build carry follow write open close travel"
)
_UNSPACED = {"ja", "th", "zh"}
_PEOPLE = "baker captain clockmaker gardener teacher sailor painter doctor farmer pilot"
_PLACES = "harbour forest desert library island castle village lighthouse market valley"
_THINGS = "map key letter lantern violin mirror coin book bell storm"


class Prompts:
    """Chat prompts, none twice, so that no answer comes out of a prefix cache."""

    def __init__(self) -> None:
        combinations = list(itertools.product(_PEOPLE.split(), _PLACES.split(), _THINGS.split()))
        random.Random(1).shuffle(combinations)
        self._left = itertools.cycle(combinations)

    def take(self, count: int) -> list[str]:
        return [
            f"Write a long story about a {person}, a {place} and a {thing}."
            for person, place, thing in itertools.islice(self._left, count)
        ]


class Texts:
    """Texts of so many common words; the same ``seed`` gives the same texts, None always others."""

    def __init__(self, words: int = TEXT_WORDS, seed: int | None = 1) -> None:
        self._random = random.Random(seed)
        self._count = words
        self._words = _WORDS.split()

    def take(self, count: int) -> list[str]:
        return [" ".join(self._random.choices(self._words, k=self._count)) for _ in range(count)]


class MixedTexts:
    """Texts whose tokens number from ``shortest`` to ``longest``, each length as likely."""

    def __init__(self, shortest: int, longest: int) -> None:
        self._random = random.Random(1)
        self._words = range(shortest - SPECIAL_TOKENS, longest - SPECIAL_TOKENS + 1)

    def take(self, count: int) -> list[str]:
        lengths = self._random.choices(self._words, k=count)
        return [" ".join(self._random.choices(_WORDS.split(), k=length)) for length in lengths]


def word_errors(said: Sequence[str], heard: Sequence[str]) -> float:
    """The word error rate of texts: words to insert, to delete and to replace, over those said.

    Case and punctuation are no errors. The fewest changes are counted (Levenshtein's distance).
    """
    pairs = [(spoken(one), spoken(other)) for one, other in zip(said, heard, strict=True)]
    return sum(_changes(*pair) for pair in pairs) / sum(len(one) for one, _ in pairs)


def spoken(text: str, language: str = "en") -> list[str]:
    """The words of a text without case and punctuation, or its characters if its language is
    written without spaces."""
    words = re.findall(r"[\w']+", text.lower())
    return list("".join(words)) if language in _UNSPACED else words


def _changes(said: list[str], heard: list[str]) -> int:
    row = list(range(len(heard) + 1))
    for count, word in enumerate(said, 1):
        left, row[0], before = count, count, count - 1
        for at, other in enumerate(heard, 1):
            left = min(left + 1, row[at] + 1, before + (word != other))
            before, row[at] = row[at], left
    return row[-1]
