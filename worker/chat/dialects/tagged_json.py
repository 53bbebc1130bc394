"""Calls that are JSON objects after a marker: those of Hermes, which Qwen 2.5 and 3 have learned,
Granite 4 and SmolLM3 too; those of Llama 3, which may have none; Phi-4-mini's, which are a list."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ipc.grammar.expressions import either
from ipc.grammar.rules import Expression
from ipc.grammar.schemas.json_text import BREAK, SPACE
from worker.chat.dialects.dialect import CallFormat, Turn, Unmarked
from worker.chat.dialects.json_calls import (
    call_list,
    call_object,
    call_rules,
    rest_of_list,
)
from worker.chat.dialects.json_calls import separated as comes_next
from worker.chat.parsing.says import Says
from worker.chat.parsing.source import Source, Steps
from worker.chat.rule_book import RuleBook, Signature, separated, sequence

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_FENCE, _FENCE_END = "```json", "```"


def _read(source: Source, says: Says, marker: str) -> Steps[None]:
    if not marker:
        yield from _bare(source, says)
        return
    yield from source.spaces()
    yield from call_object(source, says)
    yield from source.closing(_CLOSE)


def _bare(source: Source, says: Says) -> Steps[None]:
    """Calls without their markers, which small models forget, as all that is answered: one under
    the other, and maybe in a code block. Qwen2.5-Coder writes most of its calls like this."""
    yield from source.takes(_FENCE)
    yield from source.spaces()
    yield from call_object(source, says, strict=True)
    while (yield from source.comes("{")):
        yield from call_object(source, says, strict=True)
    yield from source.closing(_FENCE_END)


def _rules(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    call = sequence(f"{_OPEN}\n", call_rules(book, tools), f"\n{_CLOSE}")
    return separated(call, "\n", several=several)


def _unmarked_rules(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    """What `_bare` reads, over as many lines as a model likes."""
    calls = separated(either([_over_lines(book, tool) for tool in tools]), "\n", several=several)
    in_fence = sequence(_FENCE, "\n", calls, "\n", _FENCE_END)
    return sequence(BREAK, either([calls, in_fence]))


def _over_lines(book: RuleBook, tool: Signature) -> Expression:
    name = sequence('"name":', SPACE, json.dumps(tool.name))
    arguments = sequence('"arguments":', SPACE, book.arguments(tool))
    return sequence("{", BREAK, name, ",", BREAK, arguments, BREAK, "}")


def _unmarked_begins(name: str) -> tuple[str, ...]:
    call = f' {{ "name" : {json.dumps(name)}'
    return (call, f" {_FENCE}{call}")


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
    unmarked=Unmarked(("{", _FENCE), _unmarked_rules, _unmarked_begins),
)

GRANITE4 = HERMES._replace(name="granite4", in_probe="(?!)")
# The template reads the tools under other names, and leaves calls out of a history.
SMOLLM3 = HERMES._replace(name="smollm3", in_probe="(?!)")


_PYTHON_TAG = "<|python_tag|>"


def _read_llama3(source: Source, says: Says, marker: str) -> Steps[None]:
    if marker:
        yield from source.spaces()
    yield from call_object(source, says, strict=True)
    while (yield from comes_next(source, ";", "")) == ";":
        yield from call_object(source, says, strict=True)


def _rules_llama3(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    call = call_rules(book, tools, arguments="parameters")
    return separated(call, "; ", several=several)


LLAMA3 = CallFormat(
    "llama3",
    _read_llama3,
    _rules_llama3,
    lambda functions: "; ".join(as_json(one, "parameters") for one in functions),
    in_probe=r'\{"name": ?"zqcallqz", ?"parameters":',
    markers=(_PYTHON_TAG,),
    opens_answer=("{",),
)


_FUNCTOOLS, _PHI, _PHI_END = "functools[", "<|tool_call|>", "<|/tool_call|>"


def _read_phi4(source: Source, says: Says, marker: str) -> Steps[None]:
    if marker == _FUNCTOOLS:
        yield from rest_of_list(source, says)
    else:
        yield from call_list(source, says)
        yield from source.closing(_PHI_END)


def _rules_phi4(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    return sequence(_FUNCTOOLS, separated(call_rules(book, tools), ", ", several=several), "]")


PHI4_MINI = CallFormat(
    "phi4_mini",
    _read_phi4,
    _rules_phi4,
    lambda functions: f"{_FUNCTOOLS}{', '.join(map(as_json, functions))}]",
    in_probe=r"functools\[|<\|tool\|>|<\|tool_call\|>\s*\[",
    markers=(_FUNCTOOLS, _PHI),
    texts=(_PHI_END,),
)
