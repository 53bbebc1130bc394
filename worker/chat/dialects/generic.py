"""The form of calls for models that have none: an object with ``tool_calls``, which is all of the
answer. OpenVINO GenAI and llama.cpp ask for the same of such models."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ipc.grammar.rules import Expression
from worker.chat.dialects.dialect import CallFormat, Turn
from worker.chat.dialects.json_calls import call_list, call_rules, separated
from worker.chat.parsing.says import Says
from worker.chat.parsing.source import Source, Steps
from worker.chat.rule_book import RuleBook, Signature, sequence
from worker.chat.rule_book import separated as repeated


def _read(source: Source, says: Says, marker: str) -> Steps[None]:  # noqa: ARG001
    yield from source.expect("{")
    yield from source.spaces()
    yield from source.expect('"tool_calls"')
    yield from source.spaces()
    yield from source.expect(":")
    yield from call_list(source, says)
    yield from separated(source, "}")


def _rules(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:
    call = call_rules(book, tools)
    return sequence('{"tool_calls": [', repeated(call, ", ", several=several), "]}")


def _write(functions: Sequence[Turn]) -> str:
    calls = [{"name": one["name"], "arguments": one["arguments"]} for one in functions]
    return json.dumps({"tool_calls": calls}, ensure_ascii=False)


GENERIC = CallFormat("generic", _read, _rules, _write, opens_answer=("{",))
# The template writes calls in a form that is not known here, so none is looked for in an answer;
# where there must be one it is in the generic form.
NATIVE = GENERIC._replace(name="native")
