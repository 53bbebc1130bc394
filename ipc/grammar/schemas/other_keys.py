"""The keys of members that a schema does not name."""

from __future__ import annotations

from collections.abc import Collection

from ipc.grammar.expressions import either, sequence
from ipc.grammar.rules import Characters, Expression, Reference, Terminal
from ipc.grammar.schemas.json_text import CHARACTERS, ESCAPE_OF_ONE, ESCAPED, QUOTE

_STRING = Reference("string")


def keys_except(names: Collection[str]) -> Expression:
    """Keys that are none of ``names``: what a duplicate holds would count, unseen.

    As far as a key is like the beginning of a name it is written with the fewest escapes, so that
    no other spelling is the name. A name that needs escapes itself is told by what is before them.
    """
    prefixes = {name[:length] for name in names for length in range(len(name) + 1)}
    if not prefixes:
        return _STRING
    known = {*names}
    options = [
        _leaving(prefix, prefixes, known) for prefix in sorted(prefixes) if _is_plain(prefix)
    ]
    return sequence(QUOTE, either(options))


def _leaving(prefix: str, prefixes: set[str], known: set[str]) -> Expression:
    """Keys that begin with ``prefix`` and share no more with any name, and the quote after."""
    following = {one[-1] for one in prefixes if one and one[:-1] == prefix}
    codes = tuple((ord(one), ord(one)) for one in following)
    options: list[Expression] = [
        sequence(Characters((*ESCAPED, *codes), negated=True), CHARACTERS, QUOTE)
    ]
    if prefix not in known:
        options.append(QUOTE)
    if all(map(_is_plain, following)):
        options.append(sequence(ESCAPE_OF_ONE, CHARACTERS, QUOTE))
    return sequence(Terminal(prefix), either(options))


def _is_plain(text: str) -> bool:
    return not any(first <= ord(one) <= last for one in text for first, last in ESCAPED)
