"""What an answer may look like.

`grammar_of` puts together what a request asks for; each token engine writes the result in the form
of its library. They match on its type, so mypy names every engine that does not know a new one.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from ipc.grammar.expressions import EMPTY, either, optional
from ipc.grammar.not_empty import without_the_empty_text
from ipc.grammar.rules import Characters, Expression, Repetition, Rules, Terminal
from ipc.messages.jobs import ChatInput, Tool
from worker.chat.dialects.dialect import CallFormat, Dialect
from worker.chat.parsing.reading import Thinking
from worker.chat.parsing.tail import begins_thinking, ended_thinking
from worker.chat.rule_book import RuleBook, Signature, rules_of_form, sequence

_LINE_BREAKS = Repetition(Terminal("\n"), 0, 2)
_SPACES = ((0x09, 0x0A), (0x0D, 0x0D), (0x20, 0x20))


class AnyText(NamedTuple):
    """Every answer is fine."""


Grammar = AnyText | Rules


def grammar_of(asked: ChatInput, dialect: Dialect, tail: str) -> Grammar:
    """What the answer to ``asked`` may look like, whose prompt ends with ``tail``: a call where
    there must be one, in the ``dialect``; content of the form that was asked for, or a call; calls
    of strict tools as their schemas demand.

    A model may think before it answers where it can, whatever it must answer then. Raises
    `InvalidRequest`.
    """
    book = RuleBook()
    answer = _answer(book, asked, dialect)
    if answer is None:
        return AnyText()
    if not asked.prompts and dialect.thinking is not None:
        thought = _thought(book, dialect.thinking, tail, continues=asked.continues_last)
        answer = sequence(thought, answer)
    return without_the_empty_text(book.rules(answer)) or AnyText()


def _answer(book: RuleBook, asked: ChatInput, dialect: Dialect) -> Expression | None:
    """The answer after all reasoning. None: it may be anything."""
    form = None
    if asked.form is not None:
        rules = rules_of_form(asked.form, "the form of the answer")
        form = book.include("form", rules)
        if asked.prompts:
            return form
    calls = _calls(book, asked, dialect) if dialect.reads_calls(asked) else None
    opens = dialect.calls.content_opens
    if asked.must_call and calls is not None:
        return calls
    if form is not None:
        content = sequence(opens, form)
        return content if calls is None else either([calls, content])
    if calls is not None and any(tool.strict for tool in asked.tools):
        return _auto(book, asked, dialect.calls, calls)
    return None


def _calls(book: RuleBook, asked: ChatInput, dialect: Dialect) -> Expression:
    return dialect.calls.rules(book, _signatures(asked), asked.parallel_calls)


def _signatures(asked: ChatInput) -> list[Signature]:
    return [_signature(tool) for tool in asked.tools]


def _signature(tool: Tool) -> Signature:
    schema = {} if tool.parameters is None else json.loads(tool.parameters)
    if not isinstance(schema, dict) or not schema:
        return Signature(tool.name, {}, tool.strict)
    return Signature(tool.name, {"type": "object", **schema}, tool.strict)


def _auto(book: RuleBook, asked: ChatInput, form: CallFormat, calls: Expression) -> Expression:
    """Any text in which no call begins, and then calls, or none."""
    triggers = form.triggers or form.markers
    if form.unmarked is not None:
        begins = [text for tool in asked.tools for text in form.unmarked.begins(tool.name)]
        unmarked = form.unmarked.rules(book, _signatures(asked), asked.parallel_calls)
        free: Expression = book.without("free", *triggers, begins=begins)
        return either([sequence(free, optional(calls)), unmarked])
    if not form.opens_answer:
        return sequence(book.without("free", *triggers) if triggers else EMPTY, optional(calls))
    # Only what an answer begins with can be told from content.
    firsts = tuple(sorted({(ord(one[0]), ord(one[0])) for one in form.opens_answer} | {*_SPACES}))
    rest = book.without("free", *triggers) if triggers else Repetition(Characters((), negated=True))
    return either([calls, sequence(Characters(firsts, negated=True), rest)])


def _thought(book: RuleBook, thinking: Thinking, tail: str, *, continues: bool) -> Expression:
    """What may be thought before the answer, as far as the prompt has not begun or ended it."""
    if not continues and ended_thinking(thinking, tail):
        return EMPTY
    _, _, after = thinking.forced.partition(thinking.closes)
    rest = sequence(
        book.without("thought", thinking.closes),
        thinking.closes,
        _LINE_BREAKS if not after.strip() else after,
    )
    if begins_thinking(thinking, tail, continues=continues):
        return rest
    return optional(sequence(thinking.opens, rest))
