"""Calls that are JSON objects between tags: those of Hermes, which Qwen 2.5 and 3 have learned, of
Granite 4 and of SmolLM3; Phi-4-mini's, which are a list."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ipc.grammar.rules import Expression
from worker.chat.dialects.dialect import CallFormat, Signature, Turn
from worker.chat.dialects.json_calls import call_object, call_rules
from worker.chat.parsing.says import Says
from worker.chat.parsing.source import Source, Steps
from worker.chat.rule_book import RuleBook, separated, sequence

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"


def _read(source: Source, says: Says, marker: str) -> Steps[None]:  # noqa: ARG001
    yield from source.spaces()
    yield from call_object(source, says)
    yield from source.closing(_CLOSE)


def _rules(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    call = sequence(f"{_OPEN}\n", call_rules(book, tools), f"\n{_CLOSE}")
    return separated(call, "\n", several=several)


def _write(functions: Sequence[Turn]) -> str:
    return "\n".join(f"{_OPEN}\n{as_json(one)}\n{_CLOSE}" for one in functions)


def as_json(function: Turn, arguments: str = "arguments") -> str:
    """A call as an object, as templates write it."""
    call = {"name": function["name"], arguments: function["arguments"]}
    return json.dumps(call, ensure_ascii=False)


HERMES = CallFormat(
    "hermes",
    _read,
    _rules,
    _write,
    in_probe=r'<tool_call>\s*\{"name": ?"zqcallqz"',
    markers=(_OPEN,),
    texts=(_CLOSE,),
)
