"""Calls as Python has them: those of Llama 3.2 and 4, of Olmo 3 and of LFM2."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ipc.grammar.expressions import either
from ipc.grammar.rules import Expression
from worker.chat.dialects.dialect import CallFormat, Turn
from worker.chat.dialects.json_calls import call_list, call_object
from worker.chat.dialects.json_calls import separated as comes_next
from worker.chat.dialects.values import Members, json_of, literal, members_of, name
from worker.chat.dialects.xml_calls import as_members
from worker.chat.parsing.says import Says
from worker.chat.parsing.source import Malformed, Source, Steps
from worker.chat.rule_book import RuleBook, Signature, separated, sequence

_STRUCTURE = re.compile(r"""[\[\](){}"',]""")
_IN_STRING = {'"': re.compile(r'["\\]'), "'": re.compile(r"['\\]")}


def call(source: Source, says: Says) -> Steps[None]:
    """One call, with its arguments by name."""
    tool = yield from name(source)
    yield from source.expect("(")
    says.opened(tool)
    members = Members(says)
    while True:
        yield from source.spaces()
        if (yield from source.takes(")")) is not None:
            break
        key = yield from name(source)
        yield from source.spaces()
        yield from source.expect("=")
        text = (yield from _value(source)).strip()
        found = literal(text)
        members.tell(key, found if found is not None else json_of(text, members.schema(key)))
        yield from source.takes(",")
    members.close()


def _value(source: Source) -> Steps[str]:
    """The text of a value, up to the comma or the bracket that ends it."""
    text, depth, quote = "", 0, ""
    while True:
        pattern = _IN_STRING[quote] if quote else _STRUCTURE
        found = pattern.search(source.text, source.at)
        if found is None:
            text += source.text[source.at :]
            source.at = len(source.text)
            yield from source.more()
            continue
        sign, end = found.group(), found.end()
        if not quote and depth == 0 and sign in ",)]}":
            text += source.text[source.at : end - 1]
            source.at = end - 1
            return text
        if sign == "\\":
            while end == len(source.text):
                before = end - source.at
                yield from source.more()
                end = source.at + before
            end += 1
        elif quote or sign in "\"'":
            quote = "" if quote else sign
        elif sign != ",":
            depth += 1 if sign in "[({" else -1
        text += source.text[source.at : end]
        source.at = end


def calls(source: Source, says: Says) -> Steps[None]:
    """Calls in brackets, of which the first may stand alone."""
    yield from source.spaces()
    in_brackets = (yield from source.takes("[")) is not None
    if in_brackets:
        yield from source.spaces()
    yield from call(source, says)
    while in_brackets and (yield from comes_next(source, ",", "]")) == ",":
        yield from call(source, says)


def call_rules(book: RuleBook, tools: Sequence[Signature]) -> Expression:
    """The grammar of one call. Values are written as JSON, which Python's are nearly."""
    return either([_call_rules(book, tool) for tool in tools])


def _call_rules(book: RuleBook, tool: Signature) -> Expression:
    needed: list[Expression] = []
    others: list[Expression] = []
    for key, schema, must in members_of(tool):
        member = sequence(f"{key}=", book.value(tool, schema))
        (needed if must else others).append(member)
    return sequence(f"{tool.name}(", book.listed(needed, others, ", "), ")")


def written(function: Turn) -> str:
    """A call of a history."""
    members = ", ".join(f"{key}={_python(value)}" for key, value in as_members(function))
    return f"{function['name']}({members})"


def _python(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _in_list(functions: Sequence[Turn]) -> str:
    return f"[{', '.join(map(written, functions))}]"


def _read(source: Source, says: Says, marker: str) -> Steps[None]:
    yield from calls(source, says)
    if marker:
        yield from source.closing("<|python_end|>")


def _rules(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    return sequence("[", separated(call_rules(book, tools), ", ", several=several), "]")


PYTHONIC = CallFormat(
    "pythonic",
    _read,
    _rules,
    _in_list,
    in_probe=r"\[zqcallqz\(|\[func_name1\(params_name1=",
    markers=("<|python_start|>",),
    opens_answer=("[",),
    texts=("<|python_end|>",),
)


_OLMO, _OLMO_END = "<function_calls>", "</function_calls>"


def _read_lines(source: Source, says: Says, marker: str) -> Steps[None]:  # noqa: ARG001
    yield from source.spaces()
    yield from call(source, says)
    while (yield from comes_next(source, _OLMO_END, "")) == "":
        yield from call(source, says)


def _rules_lines(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    lines = separated(call_rules(book, tools), "\n", several=several)
    return sequence(_OLMO, lines, _OLMO_END)


OLMO3 = CallFormat(
    "olmo3",
    _read_lines,
    _rules_lines,
    lambda functions: f"{_OLMO}{chr(10).join(map(written, functions))}{_OLMO_END}",
    in_probe=r"<function_calls>\s*zqcallqz\(|<function_calls></function_calls>",
    markers=(_OLMO,),
    texts=(_OLMO_END,),
)


_LFM, _LFM_END = "<|tool_call_start|>", "<|tool_call_end|>"


def _read_lfm(source: Source, says: Says, marker: str) -> Steps[None]:  # noqa: ARG001
    yield from source.spaces()
    first = yield from source.char()
    if first == "{":
        yield from call_object(source, says)
    elif (yield from _is_json(source)):
        yield from call_list(source, says)
    else:
        yield from calls(source, says)
    yield from source.closing(_LFM_END)


def _is_json(source: Source) -> Steps[bool]:
    """Whether the brackets here are those of a list of objects."""
    start = source.at
    if (yield from source.takes("[")) is None:
        raise Malformed
    yield from source.spaces()
    found = (yield from source.char()) == "{"
    source.at = start
    return found


LFM2 = CallFormat(
    "lfm2",
    _read_lfm,
    lambda book, tools, several: sequence(_LFM, _rules(book, tools, several), _LFM_END),
    lambda functions: f"{_LFM}{_in_list(functions)}{_LFM_END}",
    in_probe=r"<\|tool_call_start\|>|<\|tool_list_start\|>",
    markers=(_LFM,),
    texts=(_LFM_END,),
    ends_with_calls=True,  # it tells the call once more in words
)
