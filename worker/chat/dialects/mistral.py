"""Mistral's calls: a list of objects, or a name and its arguments, after a marker."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ipc.grammar.expressions import either
from ipc.grammar.rules import Expression
from worker.chat.dialects.dialect import CallFormat, Turn
from worker.chat.dialects.json_calls import arguments, call_list, call_rules
from worker.chat.dialects.tagged_json import as_json
from worker.chat.dialects.values import name
from worker.chat.parsing.says import Says
from worker.chat.parsing.source import Malformed, Source, Steps
from worker.chat.rule_book import RuleBook, Signature, separated, sequence

_CALLS, _ID, _ARGUMENTS = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"


def _read(source: Source, says: Says, marker: str) -> Steps[None]:  # noqa: ARG001
    """Either form: models of one write the other too. Some leave the second marker out."""
    yield from source.spaces()
    if (yield from source.char()) == "[":
        yield from call_list(source, says)
        return
    tool = yield from name(source)
    if (yield from source.takes(_ID)) is not None:
        yield from name(source)
    yield from source.takes(_ARGUMENTS)
    yield from source.spaces()
    if (yield from source.char()) != "{":
        raise Malformed
    says.opened(tool)
    yield from arguments(source, says)
    says.closed()


def _rules_list(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    return sequence(f"{_CALLS}[", separated(call_rules(book, tools), ", ", several=several), "]")


def _rules_named(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    call = either(
        [sequence(f"{_CALLS}{one.name}{_ARGUMENTS}", book.arguments(one)) for one in tools]
    )
    return separated(call, "", several=several)


def _write_named(functions: Sequence[Turn]) -> str:
    return "".join(
        f"{_CALLS}{one['name']}{_ARGUMENTS}{json.dumps(one['arguments'], ensure_ascii=False)}"
        for one in functions
    )


MISTRAL_NAMED = CallFormat(
    "mistral_args",
    _read,
    _rules_named,
    _write_named,
    in_probe=r"\[TOOL_CALLS\]\s*zqcallqz",
    markers=(_CALLS,),
    texts=(_ID, _ARGUMENTS),
    short_ids=True,
)
MISTRAL = MISTRAL_NAMED._replace(
    name="mistral",
    rules=_rules_list,
    write=lambda functions: f"{_CALLS}[{', '.join(map(as_json, functions))}]",
    in_probe=r"\[TOOL_CALLS\]",
)
