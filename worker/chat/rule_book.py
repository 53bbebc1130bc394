"""The rules of one answer's grammar, as they are put together."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ipc.grammar.compose import prefixed, without
from ipc.grammar.expressions import EMPTY, either, optional
from ipc.grammar.expressions import sequence as in_turn
from ipc.grammar.forms import FormError, rules_of
from ipc.grammar.regex import RegexError, of_regex
from ipc.grammar.rules import (
    ROOT,
    Characters,
    Expression,
    Reference,
    Repetition,
    Rules,
    Terminal,
)
from ipc.grammar.schemas.formats import PATTERNS
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import Form, Json

SPACES = Repetition(Characters(((0x20, 0x20), (0x0A, 0x0A))), 0, 4)


class Signature(NamedTuple):
    """A tool as a grammar of calls sees it: its name, the schema of its arguments, empty where it
    takes none, and whether all of that must be kept."""

    name: str
    schema: Mapping[str, Any]
    strict: bool = False


class RuleBook:
    """Rules by name; each that is added gets a name of its own."""

    def __init__(self) -> None:
        self._rules: dict[str, Expression] = {}
        self._arguments: dict[str, Expression] = {}  # by the names of tools

    def add(self, name: str, expression: Expression) -> Reference:
        """A rule called ``name``, or nearly so."""
        free = self._free(name)
        self._rules[free] = expression
        return Reference(free)

    def include(self, name: str, rules: Rules) -> Reference:
        """All of ``rules``, renamed; returns the one that was its root."""
        prefix = self._free(name)
        return self._take(prefix, prefixed(rules, prefix))

    def arguments(self, tool: Signature) -> Expression:
        """The arguments of ``tool`` as JSON. Raises `InvalidRequest`."""
        if tool.name not in self._arguments:
            self._arguments[tool.name] = (
                self.value(tool, tool.schema) if tool.schema else Terminal("{}")
            )
        return self._arguments[tool.name]

    def value(self, tool: Signature, schema: Mapping[str, Any]) -> Expression:
        """JSON that ``schema`` admits, which is part of that of ``tool``. Raises
        `InvalidRequest`."""
        form = Json(schema=json.dumps(schema), strict=tool.strict)
        return self.include("value", rules_of_form(form, f"the parameters of tool {tool.name}"))

    def listed(
        self, needed: Sequence[Expression], others: Sequence[Expression], comma: str
    ) -> Expression:
        """All of ``needed`` and some of ``others``, in their order."""
        if needed:
            first, *rest = needed
            after = [sequence(comma, one) for one in rest]
            return sequence(first, *after, *(optional(sequence(comma, one)) for one in others))
        options = [
            sequence(one, *(optional(sequence(comma, other)) for other in others[at + 1 :]))
            for at, one in enumerate(others)
        ]
        return either([*options, EMPTY])

    def pattern(self, tool: Signature, schema: Mapping[str, Any]) -> Expression | None:
        """A text, without quotes, of the pattern or the format that ``schema`` names. None: it
        names none that is known. Raises `InvalidRequest`."""
        pattern, form = schema.get("pattern"), schema.get("format")
        try:
            if isinstance(pattern, str):
                return of_regex(pattern, searched=True)
            return of_regex(PATTERNS[form], searched=False) if form in PATTERNS else None
        except RegexError as error:
            raise InvalidRequest(
                f"the parameters of tool {tool.name} cannot be kept: the pattern {error}",
                param="tools",
            ) from error

    def without(self, name: str, *texts: str, begins: Collection[str] = ()) -> Reference:
        """Any text, the empty one too, in which none of ``texts`` stands, and that begins with none
        of ``begins``, in which a space stands for any whitespace or none."""
        prefix = self._free(name)
        return self._take(prefix, without(prefix, *texts, begins=begins))

    def rules(self, root: Expression) -> Rules:
        """All rules, and ``root``."""
        return Rules(((ROOT, root), *self._rules.items()))

    def _take(self, prefix: str, rules: Rules) -> Reference:
        """Add ``rules``, whose names begin with ``prefix``; returns the one that was their root."""
        self._rules |= dict(rules.rules)
        self._rules[prefix] = Reference(f"{prefix}-{ROOT}")
        return Reference(prefix)

    def _free(self, name: str) -> str:
        taken = {ROOT, *self._rules}
        at = 1
        while (free := name if at == 1 else f"{name}-{at}") in taken:
            at += 1
        return free


def rules_of_form(form: Form, what: str) -> Rules:
    """The rules of ``form``. Raises `InvalidRequest`, which says that ``what`` cannot be kept: the
    frontend refuses such, so it came by another way."""
    try:
        return rules_of(form)
    except FormError as error:
        raise InvalidRequest(f"{what} cannot be kept: {error}") from error


def sequence(*parts: Expression | str) -> Expression:
    """One part after the other, texts as they are."""
    return in_turn(*(Terminal(part) if isinstance(part, str) else part for part in parts))


def separated(part: Expression, separator: str, *, several: bool) -> Expression:
    """``part`` once, or several of it."""
    if not several:
        return part
    return sequence(part, Repetition(sequence(separator, part)))
