"""Gemma's calls: those of FunctionGemma and those of Gemma 4. Keys have no quotes, and texts have
marks of their own in their place."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ipc.grammar.expressions import either
from ipc.grammar.rules import Expression
from worker.chat.dialects.dialect import CallFormat, CallRules, Turn
from worker.chat.dialects.json_calls import json_text
from worker.chat.dialects.values import (
    Members,
    is_text,
    json_of,
    literal,
    members_of,
    name,
    text_rules,
)
from worker.chat.dialects.xml_calls import as_members
from worker.chat.parsing.reading import ReadCalls
from worker.chat.parsing.says import Says
from worker.chat.parsing.source import Malformed, Source, Steps
from worker.chat.rule_book import RuleBook, Signature, separated, sequence


def _reader(quote: str, end: str) -> ReadCalls:
    def read(source: Source, says: Says, marker: str) -> Steps[None]:  # noqa: ARG001
        yield from source.spaces()
        yield from source.expect("call:")
        yield from source.spaces()
        says.opened((yield from name(source)))
        yield from source.spaces()
        yield from source.expect("{")
        members = Members(says)
        while (yield from _goes_on(source, "}")):
            key = yield from _key(source, quote)
            members.tell(key, (yield from _member(source, quote, members, key)))
        members.close()
        yield from source.closing(end)

    return read


def _member(source: Source, quote: str, members: Members, key: str) -> Steps[str]:
    """The JSON of one argument. Texts in marks are read by the schema: FunctionGemma writes
    numbers so too."""
    schema = members.schema(key)
    if (yield from source.takes(quote)) is not None:
        text, _ = yield from source.upto(quote)
        return json_of(text, schema)
    if (yield from source.char()) in '{["':
        return json.dumps((yield from _value(source, quote)), ensure_ascii=False)
    return json_of((yield from _bare(source)), schema)


def _value(source: Source, quote: str) -> Steps[Any]:
    if (yield from source.takes(quote)) is not None:
        text, _ = yield from source.upto(quote)
        return text
    match (yield from source.char()):
        case '"':
            text = yield from json_text(source)
            if literal(text) is None:
                raise Malformed
            return json.loads(text)
        case "{":
            source.at += 1
            made: dict[str, Any] = {}
            while (yield from _goes_on(source, "}")):
                key = yield from _key(source, quote)
                made[key] = yield from _value(source, quote)
            return made
        case "[":
            source.at += 1
            items: list[Any] = []
            while (yield from _goes_on(source, "]")):
                items.append((yield from _value(source, quote)))
            return items
        case _:
            text = yield from _bare(source)
            found = literal(text)
            return text if found is None else json.loads(found)


def _goes_on(source: Source, end: str) -> Steps[bool]:
    """Whether another part follows, which the comma is taken before; else ``end`` is taken."""
    yield from source.spaces()
    if (yield from source.takes(",")) is not None:
        yield from source.spaces()
    return (yield from source.takes(end)) is None


def _key(source: Source, quote: str) -> Steps[str]:
    text, _ = yield from source.upto(":")
    yield from source.spaces()
    return text.replace(quote, "").strip().strip('"')


def _bare(source: Source) -> Steps[str]:
    """A value without marks, up to what ends it."""
    text, end = yield from source.upto(",", "}", "]")
    source.at -= len(end)
    return text.strip()


def _ruler(quote: str, start: str, end: str) -> CallRules:
    def rules(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
        calls = [
            sequence(f"{start}call:{one.name}{{", _members(book, one, quote), f"}}{end}")
            for one in tools
        ]
        return separated(either(calls), "", several=several)

    return rules


def _members(book: RuleBook, tool: Signature, quote: str) -> Expression:
    """All that must be there, and some of the others, with commas between them."""
    needed: list[Expression] = []
    others: list[Expression] = []
    for key, schema, must in members_of(tool):
        if is_text(schema):
            value = sequence(quote, text_rules(book, tool, schema, quote), quote)
        else:
            value = book.value(tool, schema)
        (needed if must else others).append(sequence(f"{key}:", value))
    return book.listed(needed, others, ",")


def _writer(quote: str, start: str, end: str) -> Callable[[Sequence[Turn]], str]:
    def text_of(value: Any) -> str:
        match value:
            case str():
                return f"{quote}{value}{quote}"
            case dict():
                return f"{{{','.join(f'{key}:{text_of(one)}' for key, one in value.items())}}}"
            case list():
                return f"[{','.join(map(text_of, value))}]"
            case _:
                return json.dumps(value)

    def write(functions: Sequence[Turn]) -> str:
        return "".join(
            f"{start}call:{one['name']}{text_of(dict(as_members(one)))}{end}" for one in functions
        )

    return write


_START, _END, _ESCAPE = "<start_function_call>", "<end_function_call>", "<escape>"
FUNCTION_GEMMA = CallFormat(
    "functiongemma",
    _reader(_ESCAPE, _END),
    _ruler(_ESCAPE, _START, _END),
    _writer(_ESCAPE, _START, _END),
    in_probe=r"<start_function_call>call:zqcallqz|<start_function_declaration>",
    markers=(_START,),
    texts=(_END, _ESCAPE),
)

_START_4, _END_4, _QUOTE = "<|tool_call>", "<tool_call|>", '<|"|>'
GEMMA4 = CallFormat(
    "gemma4",
    _reader(_QUOTE, _END_4),
    _ruler(_QUOTE, _START_4, _END_4),
    _writer(_QUOTE, _START_4, _END_4),
    in_probe=r"<\|tool_call>call:zqcallqz",
    markers=(_START_4,),
    texts=(_END_4, _QUOTE),
)
