"""Text that comes in pieces, handed on in whole sentences; and what of Markdown is not spoken."""

from __future__ import annotations

import re

# Of a text without an end of a sentence so much is kept waiting.
_MOST_CHARS = 400
# An end with its quotes and brackets, and then, behind a blank, what may begin a sentence.
_END = re.compile(r"[.!?\u2026][\"'\u201d\u2019)\]*_]*\s+(?=[^\sa-z])|[\u3002\uff01\uff1f]|\n")
_CLAUSE = re.compile(r"[,;:\u2014\u2013]\s|\s")
# No sentence ends with these, or with one letter, or with the number of a list's line.
_NO_END = re.compile(
    r"(?:^|[\s(\"])(?:[A-Za-z]|\d{1,2}|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|No|Fig|approx|e\.g|i\.e)\.\s+$"
)


class Sentences:
    """What has come of a text and is not handed on."""

    def __init__(self) -> None:
        self._text = ""

    def add(self, text: str) -> None:
        self._text += text

    def take(self) -> str:
        """All sentences that are whole: the last of them is followed by another one's beginning."""
        end = max((at.end() for at in _END.finditer(self._text) if self._ends(at)), default=0)
        if not end and len(self._text) > _MOST_CHARS:
            end = max((at.end() for at in _CLAUSE.finditer(self._text)), default=len(self._text))
        return self._cut(end)

    def rest(self) -> str:
        """What there is beside: nothing comes after it."""
        return self._cut(len(self._text))

    def _ends(self, at: re.Match[str]) -> bool:
        return at[0] == "\n" or not _NO_END.search(self._text, max(0, at.start() - 8), at.end())

    def _cut(self, end: int) -> str:
        found, self._text = self._text[:end], self._text[end:]
        return found


_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*(?:\n|$)", re.MULTILINE)
_LINE = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+][ \t]+|(?:-{3,}|\*{3,}|_{3,})[ \t]*$)", re.MULTILINE
)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?:\s+\"[^\"]*\")?\)")
_STRONG = re.compile(r"\*\*|__(?=\S)|(?<=\S)__|`+|~~")
# A lone star or dash below is a mark only at a word's edge: 3 * 4 and snake_case have none.
_EMPHASIS = re.compile(r"(?<![\w*])[*_](?=\S)|(?<=\S)[*_](?![\w*])")


def plain(text: str) -> str:
    """``text`` as it is said: the marks of Markdown are left out, all words stay. It may be a part
    of a text, cut between sentences, so marks need no partner in it."""
    text = _LINE.sub("", _FENCE.sub("", text))
    return _EMPHASIS.sub("", _STRONG.sub("", _LINK.sub(r"\1", text)))
