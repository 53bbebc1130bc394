"""The words of a text as they stand in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from worker.hearing.model import Heard

# Scripts that are written without spaces: Thai, Lao, Burmese, Khmer, kana, Han. A letter of theirs
# is compared as a word is; elsewhere one ends at a space or a hyphen.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}-]+)")
_NO_LETTER = re.compile(r"[\W_]+")


class Unit(NamedTuple):
    """From ``start`` to ``end`` of a text, with the spaces before it and the marks behind it;
    ``plain`` is what is compared."""

    start: int
    end: int
    plain: str


def plain(text: str) -> str:
    """A word as it is compared: no case, no punctuation."""
    return _NO_LETTER.sub("", text).casefold()


def units(text: str) -> list[Unit]:
    """All of ``text`` from its first word on."""
    found = [(word.start(), plain(word[0])) for word in _WORD.finditer(text) if plain(word[0])]
    starts = [*(start for start, _ in found), len(text)]
    return [Unit(*span, word) for span, (_, word) in zip(pairwise(starts), found, strict=True)]


def without(heard: Heard, start: int, end: int) -> Heard:
    """The same without what stands from ``start`` to ``end`` of its text. Its tokens stay those
    that the model wrote, except that those of its words go with them."""
    if start >= end:
        return heard
    spans = pairwise([0, *_ends([word.text for word in heard.words])])
    words = [
        word
        for word, (since, until) in zip(heard.words, spans, strict=True)
        if not start <= (since + until) / 2 < end
    ]
    return heard._replace(text=heard.text[:start] + heard.text[end:], words=words)


def _ends(texts: Sequence[str]) -> list[int]:
    """Where each of ``texts`` ends if they stand in a row."""
    ends, at = [], 0
    for text in texts:
        at += len(text)
        ends.append(at)
    return ends
