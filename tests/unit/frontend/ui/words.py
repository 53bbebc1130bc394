"""What the page's scripts say: the texts of their t`…` templates."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BEGIN = re.compile(r"(?<![\w$.])t`")


def said_by(script: str) -> Iterator[str]:
    """Each template as the page looks it up: with {} in place of what is filled in."""
    for begin in _BEGIN.finditer(script):
        yield "".join(_parts(script, begin.end()))


def _parts(script: str, at: int) -> Iterator[str]:
    """The template that begins at ``at``, to its end."""
    while script[at] != "`":
        if script.startswith("${", at):
            at = _behind(script, at + 2)
            yield "{}"
        else:
            yield script[at]
            at += 1


def _behind(script: str, at: int) -> int:
    """Where the expression that begins at ``at`` is closed; it may hold templates of its own."""
    depth = 1
    while depth:
        if script[at] == "`":
            at = _behind_template(script, at + 1)
            continue
        depth += {"{": 1, "}": -1}.get(script[at], 0)
        at += 1
    return at


def _behind_template(script: str, at: int) -> int:
    while script[at] != "`":
        at = _behind(script, at + 2) if script.startswith("${", at) else at + 1
    return at + 1
