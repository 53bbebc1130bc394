"""Names and words of others may hold what a terminal takes for a command. Pure."""

from __future__ import annotations

import json
import unicodedata

# Control, format, surrogate; separators of lines and of paragraphs (Unicode, section 4.5).
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


def harmless(text: object) -> str:
    """``text`` as one line of what can be seen. Control characters, the ends of lines too, what
    turns the direction of writing, and all else that has no picture becomes a question mark in a
    diamond; but for what joins letters, which has a meaning."""
    found = str(text)
    return found if found.isprintable() else "".join(map(_seen, found))


def harmless_lines(text: object) -> str:
    """The same of a text of lines, with tabs."""
    return "\n".join("\t".join(map(harmless, line.split("\t"))) for line in str(text).split("\n"))


def harmless_json(text: str) -> str:
    """The same document, without what a terminal takes for a command."""
    return "\n".join(
        line if line.isprintable() else _escaped_line(line) for line in text.split("\n")
    )


def _escaped_line(line: str) -> str:
    return "".join(char if _seen(char) == char else json.dumps(char)[1:-1] for char in line)


def _seen(char: str) -> str:
    hidden = unicodedata.category(char) in _HIDDEN and char not in _JOINERS
    return "\N{REPLACEMENT CHARACTER}" if hidden else char
