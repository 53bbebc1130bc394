"""Members and items between their brackets, with commas where two meet."""

from __future__ import annotations

from collections.abc import Callable

from ipc.grammar.expressions import EMPTY, either, is_empty, optional, sequence, times
from ipc.grammar.rules import Expression, Reference, Terminal
from ipc.grammar.schemas.json_text import COMMA, enclosed

# Makes a rule of an expression; its name begins with the text.
Define = Callable[[str, Expression], Reference]


def members_of(
    members: list[tuple[Reference, bool]], others: Expression | None, define: Define
) -> list[Expression]:
    """Ways to write members in their order, those that must be there and those that may be, with
    commas between; then any number of ``others``."""
    more = EMPTY if others is None else times(sequence(COMMA, others), 0, None)
    first = next((at for at, (_, must) in enumerate(members) if must), None)
    if first is None:
        following = [
            (member, define("also", optional(sequence(COMMA, member)))) for member, _ in members
        ]
        ways = [_some_of(following, more, define)] if members else []
        return [*ways, *([] if others is None else [sequence(others, more)]), EMPTY]
    before = [optional(sequence(member, COMMA)) for member, _ in members[:first]]
    after = [
        sequence(COMMA, member) if must else optional(sequence(COMMA, member))
        for member, must in members[first + 1 :]
    ]
    return [sequence(*before, members[first][0], *after, more)]


def _some_of(
    members: list[tuple[Reference, Reference]], more: Expression, define: Define
) -> Expression:
    """One of ``members`` at least, then ``more``; each beside the rule of it after a comma, or of
    nothing. By halves, so that the result is not much longer."""
    if len(members) == 1:
        return sequence(members[0][0], more)
    left, right = members[: len(members) // 2], members[len(members) // 2 :]
    after = define("tail", sequence(*(also for _, also in right), more))
    return either([_some_of(left, after, define), _some_of(right, more, define)])


def elements(
    known: list[Expression], more: Expression, least: int, most: int | None
) -> list[Expression]:
    """Ways to write items: those that are ``known`` by place, then ``more`` of one kind."""
    missing = max(0, least - len(known))
    left = None if most is None else most - len(known)
    following = sequence(COMMA, more)
    if not known:
        if left == 0:
            return [EMPTY]
        rest = times(following, max(0, missing - 1), None if left is None else left - 1)
        return [sequence(more, rest), *([] if least else [EMPTY])]
    tail = EMPTY if left == 0 else times(following, missing, left)
    for at in range(len(known) - 1, 0, -1):
        here = sequence(COMMA, known[at], tail)
        tail = here if at < least else optional(here)
    return [sequence(known[0], tail), *([] if least else [EMPTY])]


def in_brackets(opening: str, ways: list[Expression], closing: str) -> Expression:
    """One of ``ways`` in brackets; the empty one without whitespace."""
    filled = [way for way in ways if not is_empty(way)]
    found = [enclosed(opening, either(filled), closing)] if filled else []
    return either([*found, *([Terminal(opening + closing)] if len(filled) < len(ways) else [])])
