"""The form that an answer is asked to have, as rules."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from ipc.grammar.expressions import either, size
from ipc.grammar.not_empty import without_the_empty_text
from ipc.grammar.nul import asks_for_nul
from ipc.grammar.read_gbnf import GrammarError, read_gbnf
from ipc.grammar.regex import RegexError, of_regex
from ipc.grammar.rules import ROOT, Rules, Terminal
from ipc.grammar.schemas.compiler import MAX_PARTS, compile_schema
from ipc.grammar.schemas.reading import MAX_BYTES, MAX_NAMES, SchemaError
from ipc.messages.jobs import Choice, Form, Gbnf, Json, Regex

# Compiled ones that are kept: clients send a few, over and over. The largest has about 10 MB.
_KEPT = 16
MAX_CHOICE_CHARS = 64 << 10


class FormError(ValueError):
    """Why a form is refused, in words that say what to change. ``pointer`` is the place in a
    schema."""

    def __init__(self, why: str, pointer: str | None = None) -> None:
        super().__init__(why)
        self.pointer = pointer


class Compiled(NamedTuple):
    """``dropped`` are the pointers of what is not kept, of a schema that is not strict."""

    rules: Rules
    dropped: tuple[str, ...] = ()


def rules_of(form: Form) -> Rules:
    """The rules of ``form``, kept for the next time. They admit no empty text: an answer has to say
    something before it may end. Raises `FormError`."""
    return _kept(msgspec.json.encode(form), type(form))


@lru_cache(maxsize=_KEPT)
def _kept(encoded: bytes, kind: type[Form]) -> Rules:
    return compile_form(msgspec.json.decode(encoded, type=kind)).rules


def compile_form(form: Form) -> Compiled:
    """The rules of ``form``, and what of it they do not keep. Raises `FormError`."""
    try:
        return _compile(form)
    except RegexError as error:
        raise FormError(f"the pattern {error}") from error
    except GrammarError as error:
        raise FormError(f"the grammar {error}") from error
    except SchemaError as error:
        raise FormError(error.why, error.pointer) from error


def _compile(form: Form) -> Compiled:
    match form:
        case Json():
            return Compiled(*compile_schema(_parsed(form.schema), strict=form.strict))
        case Regex():
            rules = Rules(((ROOT, of_regex(form.pattern, searched=False)),))
            return Compiled(_checked(rules, "the pattern"))
        case Choice():
            return Compiled(_one_of(form.texts))
        case Gbnf():
            return Compiled(_checked(read_gbnf(form.text), "the grammar"))


def _checked(rules: Rules, what: str) -> Rules:
    found = without_the_empty_text(rules)
    if found is None:
        raise FormError(f"{what} admits nothing but the empty text")
    if any(asks_for_nul(body) for _, body in found.rules):
        raise FormError(f"{what} asks for the character NUL, which no answer can have")
    if sum(size(body) for _, body in found.rules) > MAX_PARTS:
        raise FormError(f"{what} is too large")
    return found


def _one_of(texts: list[str]) -> Rules:
    if not texts or "" in texts:
        raise FormError("there must be choices, and none of them empty")
    if any("\0" in text for text in texts):
        raise FormError("a choice has the character NUL, which no answer can have")
    if len(texts) > MAX_NAMES or sum(map(len, texts)) > MAX_CHOICE_CHARS:
        raise FormError(
            f"there must be at most {MAX_NAMES} choices, of {MAX_CHOICE_CHARS} characters together"
        )
    return Rules(((ROOT, either(map(Terminal, dict.fromkeys(texts)))),))


def _parsed(schema: str) -> Any:
    if len(schema.encode()) > MAX_BYTES:
        raise SchemaError("#", f"has more than {MAX_BYTES} bytes")
    try:
        return msgspec.json.decode(schema)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SchemaError("#", f"is no JSON: {error}") from error
