"""From a parsed body to a checked one, or to the one error that says what to change.

A message names the parameter and the rule, never the value: that may be somebody's private text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    GetCoreSchemaHandler,
    StringConstraints,
    ValidationError,
)
from pydantic_core import CoreSchema, ErrorDetails

from frontend.api.known_keys import Row
from ipc.messages.errors import InvalidRequest, UnsupportedParameter

MAX_NAME_CHARS = 256
EXACT_FLOAT = 1 << 53

# By pydantic's error type; braces are filled from the error's own context, which holds limits.
_RULES = {
    "missing": "is required",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be an array",
    "model_type": "must be an object",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} item",
    "too_long": "must have at most {max_length} items",
    "literal_error": "must be one of {expected}",
    "value_error": "{error}",
    "none_of": "{rule}",
}


class Body(BaseModel):
    """What all requests share: exact JSON types, and keys that are unknown here are skipped."""

    model_config = ConfigDict(
        extra="ignore", strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )


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


NoNul = AfterValidator(no_nul)
WHOLE = BeforeValidator(_whole)
Text = Annotated[str, NoNul]
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS)]
B = TypeVar("B", bound=Body)


@dataclass(frozen=True)
class OneOf:
    """Marks a union of kinds, each with a `Tag`, as ``<text>``: the tag that ``tell`` gives says
    which kind a value is to be; ``rule`` is what is said of one that is none.

    A union that is left to pydantic tries every kind, and complains in the name of each.
    """

    tell: Callable[[object], str | None]
    rule: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        by = Discriminator(
            self.tell,
            custom_error_type="none_of",
            custom_error_message="{rule}",
            custom_error_context={"rule": self.rule},
        )
        return by.__get_pydantic_core_schema__(source, handler)


def check(kind: type[B], data: Mapping[str, Any]) -> B:
    """``data`` as a ``kind``. Raises `InvalidRequest` for the first thing that is wrong."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False, include_input=False)[0]) from None


def refuse_unsupported(data: Mapping[str, Any], refused: Mapping[str, Row]) -> None:
    """Raise `UnsupportedParameter` where ``data`` asks for something that nobody here does.

    ``refused`` has the row of each such key. Doing without what a client asked for, and not saying
    so, would be a lie.
    """
    for name, given in data.items():
        row = refused.get(name)
        if row is not None and given is not None and not _asks_nothing(given, row.neutral):
            why = f": {row.note}" if row.note else ""
            raise UnsupportedParameter(
                f"`{name}` is not supported{why}{_but(row.neutral)}", param=name
            )


def _asks_nothing(given: object, values: tuple[Any, ...]) -> bool:
    # To Python true is 1.
    return any(
        given == value and isinstance(given, bool) == isinstance(value, bool) for value in values
    )


def _but(values: tuple[Any, ...]) -> str:
    return (
        f"; leave it out or send {orjson.dumps(values[0]).decode()}" if values else "; leave it out"
    )


def clean(text: str, path: str) -> str:
    """``text`` itself. Raises `InvalidRequest` naming ``path``."""
    try:
        return no_nul(text)
    except ValueError as error:
        raise InvalidRequest(f"`{path}` {error}", param=path) from None


def path_of(location: tuple[int | str, ...]) -> str:
    """A place in a body as people write it: ``messages[0].content``. Tags are no places."""
    path = ""
    for step in location:
        if str(step).startswith("<"):
            continue
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _refusal(detail: ErrorDetails) -> InvalidRequest:
    path = path_of(detail["loc"])
    rule = _RULES.get(detail["type"], "is not valid").format(**detail.get("ctx", {}))
    return InvalidRequest(f"`{path}` {rule}", param=path)
