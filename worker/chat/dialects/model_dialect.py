"""The dialect of one model: a form of calls, a form of reasoning, and what its template can do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ipc.messages.jobs import ChatInput, Tool
from worker.chat.dialects.dialect import CallFormat, ForTemplate, Turn
from worker.chat.dialects.in_text import calls_in_text, results_in_text, with_names, with_system
from worker.chat.parser import Parser, PlainText
from worker.chat.parsing.reading import Reading, Syntax, Thinking
from worker.chat.parsing.says import Schemas
from worker.chat.parsing.tail import begins_thinking

_SHORT_ID = 9


class TemplateCan(NamedTuple):
    """What a chat template writes by itself: the ``tools`` that it is given, ``calls`` of a
    history, and their ``results``. Some want the arguments of calls as a JSON text, some the tools
    under names of their own."""

    tools: bool = False
    calls: bool = False
    results: bool = False
    text_arguments: bool = False
    tools_as: tuple[str, ...] = ()


_NOTHING = TemplateCan()


@dataclass(frozen=True)
class ModelDialect:
    """A `Dialect`. It ``is_native`` where the model was trained for these calls. Where the calls
    are ``offered`` tools are in every prompt that has some; else only where one must be called,
    which a grammar sees to."""

    calls: CallFormat
    template: TemplateCan = _NOTHING
    thinking: Thinking | None = None
    is_native: bool = False
    offered: bool = False

    @property
    def name(self) -> str:
        return self.calls.name

    @property
    def calls_tools(self) -> bool:
        return self.is_native

    def reads_calls(self, asked: ChatInput) -> bool:
        return bool(asked.tools) and (self.offered or asked.must_call)

    def history(
        self, turns: Sequence[Turn], tools: Sequence[Turn] = (), *, must_call: bool = False
    ) -> ForTemplate:
        """What the template writes by itself it is given; calls, results and tools are text where
        it would leave them out."""
        made = with_names(turns)
        if self.calls.short_ids:
            made = [_with_short_ids(turn) for turn in made]
        if not self.template.calls:
            made = calls_in_text(made, self.calls.write)
        elif self.template.text_arguments:
            made = [_with_text_arguments(turn) for turn in made]
        if not self.template.results:
            made = results_in_text(made)
        if not tools:
            return ForTemplate(made)
        if self.template.tools:
            named = {name: list(tools) for name in self.template.tools_as}
            return ForTemplate(made, list(tools), named)
        if self.offered or must_call:
            made = with_system(made, self._told(tools))
        return ForTemplate(made)

    def parser(self, asked: ChatInput, tail: str, control: Collection[str] = ()) -> Parser:
        reads_calls = self.reads_calls(asked)
        in_messages = self.calls.reading is not Reading
        if not (reads_calls or in_messages or self.thinking is not None):
            return PlainText()
        syntax = self._reasoning(asked, tail)
        thinking = self.thinking
        preserved = set() if thinking is None else {thinking.opens, thinking.closes}
        calls = self.calls
        if reads_calls or in_messages:
            preserved |= {*calls.markers, *calls.texts}
        if reads_calls:
            syntax = syntax._replace(
                read_calls=calls.read,
                markers=calls.markers,
                opens_answer=_opens_answer(calls, asked),
                must_call=asked.must_call,
                ends_with_calls=calls.ends_with_calls,
            )
        shown = frozenset(preserved & set(control))
        hidden = tuple(sorted(shown - set(syntax.markers)))
        syntax = syntax._replace(hidden=hidden, preserved=shown)
        return self.calls.reading(syntax, schemas_of(asked.tools), parallel=asked.parallel_calls)

    def _reasoning(self, asked: ChatInput, tail: str) -> Syntax:
        begins = begins_thinking(self.thinking, tail, continues=asked.continues_last)
        return Syntax(thinking=self.thinking, begins_thinking=begins, split=asked.split_reasoning)

    def _told(self, tools: Sequence[Turn]) -> str:
        """What a model is told of ``tools`` whose template has no words for them."""
        listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
        example = self.calls.write([{"name": "NAME", "arguments": {"KEY": "VALUE"}}])
        return (
            f"You can call these functions:\n{listed}\n"
            f"To call one, answer with this and nothing else:\n{example}"
        )


def _opens_answer(calls: CallFormat, asked: ChatInput) -> tuple[str, ...]:
    """With what an answer may begin that is a call without a marker. Where a grammar forces the
    markers none is forgotten."""
    if calls.unmarked is None or asked.must_call or asked.form is not None:
        return calls.opens_answer
    return (*calls.opens_answer, *calls.unmarked.opens)


def schemas_of(tools: Sequence[Tool]) -> Schemas:
    """What the arguments of each tool are, by name."""
    return {tool.name: _schema(tool.parameters) for tool in tools}


def _schema(parameters: str | None) -> Mapping[str, Any]:
    found = {} if parameters is None else json.loads(parameters)
    return found if isinstance(found, dict) else {}


def _with_text_arguments(turn: Turn) -> Turn:
    if not turn.get("tool_calls"):
        return turn
    calls = [
        call | {"function": call["function"] | {"arguments": _as_text(call["function"])}}
        for call in turn["tool_calls"]
    ]
    return turn | {"tool_calls": calls}


def _as_text(function: Turn) -> str:
    arguments = function["arguments"]
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _with_short_ids(turn: Turn) -> Turn:
    if turn.get("tool_call_id"):
        turn = turn | {"tool_call_id": _short(turn["tool_call_id"])}
    if turn.get("tool_calls"):
        calls = [call | {"id": _short(call["id"])} for call in turn["tool_calls"]]
        turn = turn | {"tool_calls": calls}
    return turn


def _short(call_id: str) -> str:
    """An id of 9 letters and digits, the same for the same ``call_id``."""
    if len(call_id) == _SHORT_ID and call_id.isascii() and call_id.isalnum():
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:_SHORT_ID]
