"""Rules made of rules, for those that write around a value: the markers of a call, what is thought.

grammar = with_root(
    sequence(Terminal("<call>"), Reference("arguments-root"), Terminal("</call>")),
    prefixed(rules_of_arguments, "arguments"),
)
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ipc.grammar.characters import points_of
from ipc.grammar.expressions import EMPTY, either, renamed, sequence
from ipc.grammar.rules import (
    ROOT,
    Characters,
    Expression,
    Reference,
    Rules,
    Terminal,
)


def prefixed(rules: Rules, prefix: str) -> Rules:
    """``rules`` by other names: ``prefix-root`` is what `ROOT` was. ``prefix`` is a name too."""
    return Rules(
        tuple((f"{prefix}-{name}", renamed(body, f"{prefix}-")) for name, body in rules.rules)
    )


def with_root(root: Expression, *used: Rules) -> Rules:
    """Texts of ``root``, which names rules of ``used``. Raises `ValueError` where two of those have
    one name."""
    rules = [(ROOT, root), *(rule for one in used for rule in one.rules)]
    if len({name for name, _ in rules}) < len(rules):
        raise ValueError("two rules have one name")
    return Rules(tuple(rules))


def without(prefix: str, *markers: str, begins: Collection[str] = ()) -> Rules:
    """Any text in which none of ``markers`` stands, the empty one too, as the rule ``prefix-root``.
    It begins with none of ``begins`` either, in which a space stands for any whitespace or none.

    Raises `ValueError` where one of them is empty.
    """
    return _scan(markers, prefix, begins, ends_with_marker=False)


def up_to(prefix: str, marker: str) -> Rules:
    """Any text that ends with the first ``marker`` in it, as the rule ``prefix-root``.

    Raises `ValueError` where ``marker`` is empty.
    """
    return _scan((marker,), prefix, (), ends_with_marker=True)


class _Read(NamedTuple):
    """What counts of the text so far: the longest beginning of a marker that it ends with, as in
    the automaton of Aho and Corasick (1975), and what would complete one of the texts that it must
    not begin with."""

    held: str
    rests: frozenset[str]


def _scan(
    markers: tuple[str, ...], prefix: str, begins: Collection[str], *, ends_with_marker: bool
) -> Rules:
    """One rule for each `_Read`."""
    texts = (*markers, *begins)
    if not all(text.strip() for text in texts):
        raise ValueError("a marker must not be empty")
    characters = sorted({*"".join(texts), *(_WHITESPACE if begins else "")})
    first = _Read("", frozenset(begins))
    names, todo = {first: f"{prefix}-{ROOT}"}, [first]
    rules: list[tuple[str, Expression]] = []
    for read in todo:  # which grows
        options: list[Expression] = [] if ends_with_marker else [EMPTY]
        after = {one: _after(read, one, markers) for one in characters}
        telling = [one for one in characters if after[one] != _ANY]
        others = Characters(tuple((ord(one), ord(one)) for one in telling), negated=True)
        if points_of(others):
            options.append(sequence(others, _reference(_ANY, names, todo, prefix)))
        for one in telling:
            then = after[one]
            if then is not None:
                options.append(sequence(Terminal(one), _reference(then, names, todo, prefix)))
            elif ends_with_marker:
                options.append(Terminal(one))
        rules.append((names[read], either(options)))
    return Rules(tuple(rules))


_WHITESPACE = " \t\r\n"
_ANY = _Read("", frozenset())


def _after(read: _Read, character: str, markers: tuple[str, ...]) -> _Read | None:
    """What is read once ``character`` has come; None: a marker, or a text at the beginning."""
    text = read.held + character
    rests = frozenset(
        rest for before in read.rests if (rest := _rest(before, character)) is not None
    )
    if "" in rests or any(text.endswith(marker) for marker in markers):
        return None
    held = next(
        text[at:]
        for at in range(len(text) + 1)
        if at == len(text) or any(marker.startswith(text[at:]) for marker in markers)
    )
    return _Read(held, rests)


def _rest(text: str, character: str) -> str | None:
    """What is left of ``text`` after ``character``; None where it does not begin so."""
    if text[0] == " " and character in _WHITESPACE:
        return text
    text = text.removeprefix(" ")
    return text[1:] if text[0] == character else None


def _reference(read: _Read, names: dict[_Read, str], todo: list[_Read], prefix: str) -> Reference:
    """The rule of ``read``, which is still ``todo`` where it has no name yet."""
    if read not in names:
        names[read] = f"{prefix}-{len(names)}"
        todo.append(read)
    return Reference(names[read])
