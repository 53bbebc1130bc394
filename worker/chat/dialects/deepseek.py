"""DeepSeek's calls, of V3 and of V3.1. Its markers have full-width bars in them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ipc.grammar.expressions import either
from ipc.grammar.rules import Expression
from worker.chat.dialects.dialect import CallFormat, Turn
from worker.chat.dialects.json_calls import arguments
from worker.chat.parsing.says import Says
from worker.chat.parsing.source import Source, Steps
from worker.chat.rule_book import RuleBook, Signature, separated, sequence


def _marker(words: str) -> str:
    block = "\N{LOWER ONE EIGHTH BLOCK}"
    bar = "\N{FULLWIDTH VERTICAL LINE}"
    return f"<{bar}{words.replace(' ', block)}{bar}>"


_CALLS, _CALLS_END = _marker("tool calls begin"), _marker("tool calls end")
_CALL, _CALL_END = _marker("tool call begin"), _marker("tool call end")
_SEPARATOR = _marker("tool sep")
_KIND, _FENCE, _FENCE_END = "function", "\n```json\n", "\n```"


def _read(source: Source, says: Says, marker: str) -> Steps[None]:
    if marker == _CALLS:
        yield from source.spaces()
        yield from source.expect(_CALL)
    yield from _call(source, says)
    while (yield from source.comes(_CALL)):
        yield from source.expect(_CALL)
        yield from _call(source, says)
    yield from source.closing(_CALLS_END)


def _call(source: Source, says: Says) -> Steps[None]:
    """A call of either version: that of V3 has its kind first, and its arguments in a fence."""
    tool, _ = yield from source.upto(_SEPARATOR)
    yield from source.spaces()
    is_fenced = tool.strip() == _KIND and (yield from source.char()) != "{"
    if is_fenced:
        tool, _ = yield from source.upto("\n")
        yield from source.spaces()
        yield from source.expect("```json", "```")
        yield from source.spaces()
    says.opened(tool.strip())
    yield from arguments(source, says)
    if is_fenced:
        yield from source.closing("```")
    yield from source.closing(_CALL_END)
    says.closed()


def _rules(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    call = either(
        [sequence(f"{_CALL}{one.name}{_SEPARATOR}", book.arguments(one)) for one in tools]
    )
    ended = sequence(call, _CALL_END)
    return sequence(_CALLS, separated(ended, "", several=several), _CALLS_END)


def _rules_v3(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    before = f"{_CALL}{_KIND}{_SEPARATOR}"
    call = either([sequence(f"{before}{one.name}{_FENCE}", book.arguments(one)) for one in tools])
    ended = sequence(call, f"{_FENCE_END}{_CALL_END}")
    return sequence(_CALLS, separated(ended, "\n", several=several), _CALLS_END)


def _write(functions: Sequence[Turn]) -> str:
    calls = (
        f"{_CALL}{one['name']}{_SEPARATOR}"
        f"{json.dumps(one['arguments'], ensure_ascii=False)}{_CALL_END}"
        for one in functions
    )
    return f"{_CALLS}{''.join(calls)}{_CALLS_END}"


def _write_v3(functions: Sequence[Turn]) -> str:
    calls = (
        f"{_CALL}{_KIND}{_SEPARATOR}{one['name']}{_FENCE}"
        f"{json.dumps(one['arguments'], ensure_ascii=False)}{_FENCE_END}{_CALL_END}"
        for one in functions
    )
    return f"{_CALLS}{chr(10).join(calls)}{_CALLS_END}"


DEEPSEEK_V3 = CallFormat(
    "deepseek_v3",
    _read,
    _rules_v3,
    _write_v3,
    in_probe=f"{_KIND}{_SEPARATOR}zqcallqz",
    markers=(_CALLS, _CALL),
    texts=(_CALLS_END, _CALL_END, _SEPARATOR),
)
DEEPSEEK_V3_1 = DEEPSEEK_V3._replace(
    name="deepseek_v3_1",
    rules=_rules,
    write=_write,
    in_probe=f"zqcallqz{_SEPARATOR}",
)
