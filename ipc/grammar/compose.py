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
    Alternation,
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


def without(marker: str, prefix: str) -> Rules:
    """Any text that does not contain ``marker``, the empty one too, as the rule ``prefix-root``.

    The automaton of Knuth, Morris and Pratt: a rule for each length of ``marker`` that the text so
    far ends with. Raises `ValueError` where ``marker`` is empty.
    """
    return _scan(marker, prefix, EMPTY, ends_with_marker=False)


def up_to(marker: str, prefix: str) -> Rules:
    """Any text that ends with the first ``marker`` in it, as the rule ``prefix-root``.

    Raises `ValueError` where ``marker`` is empty.
    """
    return _scan(marker, prefix, EMPTY, ends_with_marker=True)


def _scan(marker: str, prefix: str, end: Expression, *, ends_with_marker: bool) -> Rules:
    if not marker:
        raise ValueError("a marker must not be empty")
    characters = sorted({*marker})
    others = Characters(tuple((ord(one), ord(one)) for one in characters), negated=True)
    names = [f"{prefix}-root", *(f"{prefix}-{held}" for held in range(1, len(marker)))]
    rules: list[tuple[str, Expression]] = []
    for held, name in enumerate(names):
        options: list[Expression] = [] if ends_with_marker else [end]
        if points_of(others):
            options.append(sequence(others, Reference(names[0])))
        for one in characters:
            goes_on = _held(marker, marker[:held] + one)
            if goes_on < len(marker):
                options.append(sequence(Terminal(one), Reference(names[goes_on])))
            elif ends_with_marker:
                options.append(Terminal(one))
        rules.append((name, either(options) if len(options) > 1 else Alternation(tuple(options))))
    return Rules(tuple(rules))


def _held(marker: str, text: str) -> int:
    """The length of the longest beginning of ``marker`` that ``text`` ends with."""
    return next(n for n in range(min(len(marker), len(text)), -1, -1) if text.endswith(marker[:n]))
