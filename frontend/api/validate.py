"""From a parsed body to a checked one, or to the one error that says what to change.

A message names the parameter and the rule, never the value: that may be somebody's private text.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails
from starlette.requests import Request

from frontend.api.fields import Schema
from frontend.api.known_keys import Row
from ipc.messages.control import Serve
from ipc.messages.errors import InvalidRequest, UnsupportedParameter

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
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "none_required": "must be null",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} item",
    "too_long": "must have at most {max_length} items",
    "literal_error": "must be one of {expected}",
    "value_error": "{error}",
    "none_of": "{rule}",
    "string_pattern_mismatch": "must match {pattern}",
    "unsupported": "{why}",
    "extra_forbidden": "is unknown{meant}",
}


class Body(BaseModel):
    """What all requests share: exact JSON types, and keys that are unknown here are skipped.

    ``REFUSED`` has the row of each key that is refused, whatever else a body has. ``EXAMPLE`` is a
    body as a client would write it, less its ``model``.
    """

    model_config = ConfigDict(
        extra="ignore", strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )
    REFUSED: ClassVar[Mapping[str, Row]] = {}
    EXAMPLE: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Schema:
        schema = handler(core)
        refused = {name: {"enum": [*row.neutral, None]} for name, row in cls.REFUSED.items()}
        handler.resolve_ref_schema(schema)["properties"] |= refused
        return schema


class Exact(Body):
    """What operators ask: a key that is unknown is refused. It is a slip, and without it something
    else would be done than what was meant."""

    model_config = ConfigDict(extra="forbid")


B = TypeVar("B", bound=Body)


def check(kind: type[B], data: Mapping[str, Any], limits: Serve | None = None) -> B:
    """``data`` as a ``kind``, within this server's ``limits`` where the kind has such.

    Raises `InvalidRequest` for the first thing that is wrong, or `UnsupportedParameter`.
    """
    refuse_unsupported(data, kind.REFUSED)
    try:
        return kind.model_validate(data, context=limits)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _refusal(first, kind.model_fields) from None


def check_query(kind: type[B], request: Request, **instead: str) -> B:
    """The query of ``request`` as a ``kind``, with ``instead`` in place of what it has of the same
    names. One that gives a parameter twice may mean either, and is refused: `InvalidRequest`."""
    given = request.query_params.multi_items()
    known = {field.alias or name for name, field in kind.model_fields.items()}
    names = [name for name, _ in given if name in known | kind.REFUSED.keys()]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InvalidRequest(f"`{twice[0]}` is given twice; give it once", param=twice[0])
    return check(kind, {**dict(given), **instead})


def refuse_unsupported(
    data: Mapping[str, Any], refused: Mapping[str, Row], within: str = ""
) -> None:
    """Raise `UnsupportedParameter` where ``data`` asks for something that nobody here does.

    ``refused`` has the row of each such key; ``within`` comes before its name where ``data`` is
    only a part of the request. Doing without what a client asked for, and not saying so, would be a
    lie.
    """
    for name, given in data.items():
        row = refused.get(name)
        if row is not None and given is not None and not _asks_nothing(given, row.neutral):
            why = f": {row.note}" if row.note else ""
            raise UnsupportedParameter(
                f"`{within}{name}` is not supported{why}{_but(row.neutral)}",
                param=f"{within}{name}",
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


def path_of(location: tuple[int | str, ...]) -> str:
    """A place in a body as people write it: ``messages[0].content``. Tags are no
    places, and neither is a key apart from its value."""
    path = ""
    for step in location:
        if str(step).startswith(("<", "[key]")):
            continue
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _refusal(detail: ErrorDetails, known: Collection[str]) -> InvalidRequest:
    facts = detail.get("ctx", {})
    if detail["type"] == "extra_forbidden":
        facts = {"meant": _meant(str(detail["loc"][-1]), known)}
    key = facts.get("key")
    path = path_of((*detail["loc"], key) if key else detail["loc"])
    rule = _RULES.get(detail["type"], "is not valid").format(**facts)
    kind = UnsupportedParameter if detail["type"] == "unsupported" else InvalidRequest
    return kind(f"`{path}` {rule}", param=path)


def _meant(name: str, known: Collection[str]) -> str:
    if close := difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6):
        return f"; did you mean `{close[0]}`?"
    return f"; there are {', '.join(known)}" if known else "; leave it out"
