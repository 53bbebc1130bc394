"""A text in parts that are said one after the other: sentences, and of long ones their clauses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

# A part is what one who waits for sound, or wants it to end, has to wait for.
MAX_CHARS = 300
# What is heard first should come soon: a long first sentence begins with a part no longer than this
# where it has a comma for that.
MAX_FIRST_CHARS = 60
_MIN_FIRST_WORDS = 2

_CLAUSE_S, _SENTENCE_S, _PARAGRAPH_S = 0.15, 0.3, 0.6
_CLAUSE_END = re.compile(r"[,;:\u2014\u2013](?=\s)")
_PARAGRAPH_END = re.compile(r"\n+")
# Nothing of these is said, and some break the rules by which a text is read.
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]+")


class Part(NamedTuple):
    """``pause_s`` is the silence after it, at the usual pace."""

    text: str
    pause_s: float


def parts(
    text: str, sentences: Callable[[str], Sequence[str]], max_chars: int = MAX_CHARS
) -> Iterator[Part]:
    """All of ``text`` but blanks and control characters; ``sentences`` splits a paragraph."""
    first = True
    for paragraph in _PARAGRAPH_END.split(_CONTROLS.sub(" ", text)):
        of_paragraph: list[Part] = []
        for sentence in filter(None, map(str.strip, sentences(paragraph))):
            *clauses, last = _cut(sentence, max_chars, first=first)
            of_paragraph += [Part(clause, _CLAUSE_S) for clause in clauses]
            of_paragraph.append(Part(last, _SENTENCE_S))
            first = False
        if of_paragraph:
            yield from of_paragraph[:-1]
            yield Part(of_paragraph[-1].text, _PARAGRAPH_S)


def _cut(sentence: str, max_chars: int, *, first: bool) -> list[str]:
    """``sentence`` in pieces of at most ``max_chars``."""
    found: list[str] = []
    if first and len(sentence) > MAX_FIRST_CHARS and (end := _first_end(sentence)):
        found.append(sentence[:end])
        sentence = sentence[end:].strip()
    while len(sentence) > max_chars:
        end = _end(sentence, max_chars)
        found.append(sentence[:end].strip())
        sentence = sentence[end:].strip()
    return [*found, sentence] if sentence else found


def _first_end(sentence: str) -> int:
    """Where a part that is heard soon may end; 0: nowhere."""
    ends = [match.end() for match in _CLAUSE_END.finditer(sentence, 0, MAX_FIRST_CHARS + 1)]
    return next((end for end in ends if len(sentence[:end].split()) >= _MIN_FIRST_WORDS), 0)


def _end(sentence: str, max_chars: int) -> int:
    """Where the piece ends: at the last clause in it, else the last word, else where it is full."""
    clauses = [match.end() for match in _CLAUSE_END.finditer(sentence, 0, max_chars)]
    return max(clauses, default=0) or sentence.rfind(" ", 1, max_chars + 1) + 1 or max_chars
