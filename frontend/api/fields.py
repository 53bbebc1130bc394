"""Kinds of values that requests share. A type says what is allowed, and so checks and describes it.

What depends on this server is written as ``x-…`` in the description of a type, and filled in by
`frontend.openapi.request_schema`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import orjson
from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationInfo,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ipc.messages.control import Serve
from ipc.messages.errors import InvalidRequest

Schema = dict[str, Any]

MAX_NAME_CHARS = 256
EXACT_FLOAT = 1 << 53
MAX_INT32 = (1 << 31) - 1
# In the description of a value: a setting for each limit; a model's name; what a model must be able
# to do for a value to be of use.
LIMITS, MODEL, NEEDS = "x-limits", "x-model", "x-needs"


def no_nul(text: str) -> str:
    """``text`` itself. A NUL ends a string for many a tokenizer: the rest would be dropped."""
    if "\0" in text:
        raise ValueError("must not contain NUL characters")
    return text


def _whole(value: object) -> object:
    """JSON has one kind of number: 3.0 is an integer, up to where floats skip some."""
    if isinstance(value, float) and abs(value) <= EXACT_FLOAT and value.is_integer():
        return int(value)
    return value


WHOLE = BeforeValidator(_whole)


def _count(text: object) -> object:
    return int(text) if isinstance(text, str) and _COUNT.fullmatch(text) else text


def _number(text: object) -> object:
    return float(text) if isinstance(text, str) and _NUMBER.fullmatch(text) else text


_COUNT = re.compile(r"[+-]?[0-9]{1,32}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,32}(\.[0-9]{1,32})?([eE][+-]?[0-9]{1,4})?")
# Of what has only texts, a query or a form: one that is no number stays text, and is refused.
COUNT_OF_TEXT, NUMBER_OF_TEXT = BeforeValidator(_count), BeforeValidator(_number)


@dataclass(frozen=True)
class _NoNul:
    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(no_nul, handler(source))

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        return {**handler(core), "pattern": "^[^\\x00]*$"}


@dataclass(frozen=True)
class NotZero:
    """An integer of at least -1, which has a meaning of its own; 0 has none."""

    rule: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        return {"anyOf": [{"const": -1}, {**handler(core), "minimum": 1}]}

    def _check(self, value: int) -> int:
        if value == 0:
            raise ValueError(self.rule)
        return value


@dataclass(frozen=True)
class AtMost:
    """No more ``things`` than this server's setting ``limit``. Needs `Serve` as the context."""

    limit: Literal["max_text_chars", "max_batch_size"]
    things: Literal["characters", "items"]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        # Before the rest: items that are too many are not worth looking at.
        return core_schema.with_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        keyword = "maxLength" if self.things == "characters" else "maxItems"
        return {**handler(core), LIMITS: {keyword: self.limit}}

    def _check(self, value: object, info: ValidationInfo) -> object:
        most: int = getattr(cast(Serve, info.context), self.limit)
        if isinstance(value, str | list) and len(value) > most:
            raise ValueError(
                f"must have at most {most} {self.things}, this server's {self.limit.upper()}, "
                f"and has {len(value)}"
            )
        return value


@dataclass(frozen=True)
class OneOf:
    """Marks a union of kinds, each with a `Tag`, as ``<text>``: the tag that ``tell`` gives says
    which kind a value is to be; ``rule`` is what is said of one that is none. It is said of the
    value's ``key``, where that is what the kinds are told apart by.

    A union that is left to pydantic tries every kind, and complains in the name of each.
    """

    tell: Callable[[object], str | None]
    rule: str
    key: str = ""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        by = Discriminator(
            self.tell,
            custom_error_type="none_of",
            custom_error_message="{rule}",
            custom_error_context={"rule": self.rule, "key": self.key},
        )
        return by.__get_pydantic_core_schema__(source, handler)


def by_key(key: str, tags: Mapping[str, str]) -> OneOf:
    """Tells objects apart by the text at ``key``, which stands for one of ``tags``."""

    def tell(value: object) -> str | None:
        if not isinstance(value, dict) or key not in value:
            return next(iter(tags.values()))  # any of them says what is amiss
        said = value[key]
        return tags.get(said) if isinstance(said, str) else None

    return OneOf(tell, f"must be one of {', '.join(tags)}", key)


def text_or(tag: str, kind: type, rule: str) -> OneOf:
    """Tells a ``<text>`` from a ``kind``, whose tag is ``tag``."""

    def tell(value: object) -> str | None:
        if isinstance(value, str):
            return "<text>"
        return tag if isinstance(value, kind) else None

    return OneOf(tell, rule)


def only(value: str, why: str) -> BeforeValidator:
    """The text ``value``; another one is not supported, and ``why`` says what is."""

    def check(given: object) -> object:
        if isinstance(given, str) and given != value:
            raise PydanticCustomError("unsupported", "{why}", {"why": why})
        return given

    return BeforeValidator(check)


def described_as_required(*names: str) -> Callable[[Schema], None]:
    """The description asks for these, which few requests may leave out: only those in which others
    tell what was meant."""

    def change(schema: Schema) -> None:
        for name in names:
            schema["properties"][name] = schema["properties"][name]["anyOf"][0]
        schema["required"] = [*schema.get("required", []), *names]

    return change


NoNul = _NoNul()
Text = Annotated[str, NoNul]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_NAME_CHARS),
    Field(json_schema_extra={MODEL: True}),
]
# It may be empty, and may hold NUL characters as texts taken from PDF files do: one odd piece is no
# reason to refuse a document of hundreds.
ServerText = Annotated[str, AtMost("max_text_chars", "characters")]
Batch = AtMost("max_batch_size", "items")
# The id of a token, in whatever vocabulary.
Token = Annotated[int, Field(ge=0, le=MAX_INT32), WHOLE]
# What a client notes with an object of OpenAI's API; no model reads it.
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    Field(max_length=16),
]
AtLeastOne = Annotated[int, Field(ge=1), WHOLE]


def json_text(given: object, path: str) -> str:
    """``given``, which came at ``path`` of a request, as JSON. Raises `InvalidRequest` where it is
    nested more deeply than the library writes."""
    try:
        return orjson.dumps(given).decode()
    except TypeError:
        raise InvalidRequest(f"`{path}` is nested too deeply", param=path) from None
