"""Rules made of rules, for those that write around a value: the markers of a call, what is thought.

grammar = with_root(
    sequence(Terminal("<call>"), Reference("arguments-root"), Terminal("</call>")),
    prefixed(rules_of_arguments, "arguments"),
)
"""

from __future__ import annotations

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


def without(prefix: str, *markers: str) -> Rules:
    """Any text in which none of ``markers`` stands, the empty one too, as the rule ``prefix-root``.

    Raises `ValueError` where one of them is empty.
    """
    return _scan(markers, prefix, ends_with_marker=False)


def up_to(prefix: str, marker: str) -> Rules:
    """Any text that ends with the first ``marker`` in it, as the rule ``prefix-root``.

    Raises `ValueError` where ``marker`` is empty.
    """
    return _scan((marker,), prefix, ends_with_marker=True)


def _scan(markers: tuple[str, ...], prefix: str, *, ends_with_marker: bool) -> Rules:
    """One rule for each beginning of ``markers`` that the text so far may end with, as in the
    automaton of Aho and Corasick (1975)."""
    if not all(markers):
        raise ValueError("a marker must not be empty")
    beginnings = sorted({one[:n] for one in markers for n in range(len(one))}, key=len)
    names = {one: f"{prefix}-{at or ROOT}" for at, one in enumerate(beginnings)}
    characters = sorted({character for one in markers for character in one})
    others = Characters(tuple((ord(one), ord(one)) for one in characters), negated=True)
    rules: list[tuple[str, Expression]] = []
    for held, name in names.items():
        options: list[Expression] = [] if ends_with_marker else [EMPTY]
        if points_of(others):
            options.append(sequence(others, Reference(names[""])))
        for one in characters:
            text = held + one
            if any(marker in text for marker in markers):
                options += [Terminal(one)] if ends_with_marker else []
                continue
            goes_on = next(text[at:] for at in range(len(text) + 1) if text[at:] in names)
            options.append(sequence(Terminal(one), Reference(names[goes_on])))
        rules.append((name, either(options)))
    return Rules(tuple(rules))
