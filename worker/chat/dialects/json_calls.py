"""Calls that are JSON objects with a name and arguments."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from ipc.grammar.expressions import either
from ipc.grammar.rules import Expression
from worker.chat.parsing.says import Says
from worker.chat.parsing.source import Malformed, Source, Steps, Truncated
from worker.chat.rule_book import RuleBook, Signature, sequence

# What tells where a JSON value ends: brackets and the beginnings of strings, or the ends of those.
_STRUCTURE, _IN_STRING = re.compile(r'["{}\[\]]'), re.compile(r'["\\]')
_ARGUMENTS = ("arguments", "parameters")


def call_object(source: Source, says: Says, *, strict: bool = False) -> Steps[None]:
    """One call: an object with ``name`` and ``arguments``, which may be called ``parameters``.

    Other keys count for nothing; where it is ``strict`` there must be none before the name. The
    call is complete when its arguments are, whatever follows.
    """
    yield from source.expect("{")
    held = yield from _open(source, says, strict=strict)
    if held is not None:
        _tell(says, held)
    elif not (yield from _arguments(source, says)):
        says.arguments("{}")
        says.closed()
        return
    yield from _close(source, says)


def _open(source: Source, says: Says, *, strict: bool) -> Steps[str | None]:
    """Everything up to the name. Returns the arguments that stood before it."""
    held: str | None = None
    while (key := (yield from _key(source))) != "name":
        if key is None or (strict and key != "type"):
            raise Malformed
        text = yield from json_text(source)
        held = text if key in _ARGUMENTS else held
    name = yield from _string(source)
    says.opened(name)
    return held


def _arguments(source: Source, says: Says) -> Steps[bool]:
    """Everything up to the end of the arguments; returns whether there are any."""
    while (key := (yield from _key(source))) not in _ARGUMENTS:
        if key is None:
            return False
        yield from json_text(source)
    yield from arguments(source, says)
    return True


def arguments(source: Source, says: Says) -> Steps[None]:
    """The arguments of the opened call, told as they come. An object in a string is one too."""
    if (yield from source.char()) == "{":
        yield from json_value(source, says.arguments)
    else:
        _tell(says, (yield from json_text(source)))


def call_list(source: Source, says: Says) -> Steps[None]:
    """A list of calls, whose opening bracket is still to come."""
    yield from source.spaces()
    yield from source.expect("[")
    yield from rest_of_list(source, says)


def rest_of_list(source: Source, says: Says) -> Steps[None]:
    """A list of calls after its opening bracket."""
    yield from source.spaces()
    yield from call_object(source, says)
    while (yield from separated(source, ",", "]")) == ",":
        yield from call_object(source, says)


def separated(source: Source, *texts: str) -> Steps[str | None]:
    """Which of ``texts`` comes next between two calls, with the whitespace around it; None at the
    end of the answer, or where something else comes."""
    try:
        yield from source.spaces()
        found = yield from source.takes(*texts)
    except Truncated:
        source.at = len(source.text)
        return None
    if found is not None and found != texts[-1]:
        with contextlib.suppress(Truncated):
            yield from source.spaces()
    return found


def _close(source: Source, says: Says) -> Steps[None]:
    """The end of a call whose arguments have been told. Further keys count for nothing."""
    try:
        yield from source.spaces()
        while (yield from source.char()) == ",":
            if (yield from _key(source)) is None:
                break
            yield from json_text(source)
            yield from source.spaces()
        else:
            yield from source.takes("}")
    except (Malformed, Truncated):
        pass
    says.closed()


def _key(source: Source) -> Steps[str | None]:
    """The next key of an object, and its colon; None at the object's end."""
    yield from source.spaces()
    if (yield from source.takes(",")) is not None:
        yield from source.spaces()
    if (yield from source.takes("}")) is not None:
        return None
    key = yield from _string(source)
    yield from source.spaces()
    yield from source.expect(":")
    yield from source.spaces()
    return key


def _string(source: Source) -> Steps[str]:
    if (yield from source.char()) != '"':
        raise Malformed
    text = yield from json_text(source)
    return str(_decoded(text))


def _tell(says: Says, text: str) -> None:
    """Arguments that have been read as a whole."""
    value = _decoded(text)
    if isinstance(value, str):
        says.arguments(value.strip() or "{}")
    else:
        says.arguments("{}" if value is None else text)


def json_text(source: Source) -> Steps[str]:
    """The text of the JSON value here."""
    pieces: list[str] = []
    yield from json_value(source, pieces.append)
    return "".join(pieces)


def json_value(source: Source, tell: Callable[[str], None]) -> Steps[None]:
    """Take the JSON value here, telling its text as it comes. It ends where its brackets do."""
    first = yield from source.char()
    if first not in '{["':
        yield from _literal(source, tell)
        return
    depth, quoted = 0, False
    while True:
        start, done = source.at, False
        while not done:
            found = (_IN_STRING if quoted else _STRUCTURE).search(source.text, source.at)
            if found is None:
                source.at = len(source.text)
                break
            sign, at = found.group(), found.end()
            if sign == "\\":
                if at == len(source.text):
                    source.at = at - 1  # what it escapes is still to come
                    break
                at += 1
            elif sign == '"':
                quoted = not quoted
                done = not quoted and depth == 0
            else:
                depth += 1 if sign in "{[" else -1
                done = depth == 0
            source.at = at
        tell(source.text[start : source.at])
        if done:
            return
        yield from source.more()


def _literal(source: Source, tell: Callable[[str], None]) -> Steps[None]:
    """A number, true, false or null."""
    text = ""
    while True:
        try:
            letter = yield from source.char()
        except Truncated:
            break
        if not (letter.isalnum() or letter in "+-."):
            break
        text += letter
        source.at += 1
    _decoded(text)
    tell(text)


def _decoded(text: str) -> Any:
    """The value of a JSON text. Raises `Malformed`."""
    try:
        return json.loads(text, strict=False)
    except ValueError:
        raise Malformed from None


def call_rules(
    book: RuleBook, tools: Sequence[Signature], *, arguments: str = "arguments"
) -> Expression:
    """The grammar of a call as an object."""
    return either(
        [
            sequence(
                f'{{"name": {json.dumps(tool.name)}, "{arguments}": ',
                book.arguments(tool),
                "}",
            )
            for tool in tools
        ]
    )
