"""``allOf`` as one schema, and ``oneOf`` whose options no value shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

from ipc.grammar.schemas.reading import KEYWORDS_OF, UNKEPT, Schema, SchemaError, types_of

_MEANINGFUL = (
    {word for words in KEYWORDS_OF.values() for word in words}
    | {*UNKEPT}
    | {
        "type",
        "enum",
        "const",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "$id",
    }
)
_HIGHEST = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_LOWEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def says_something(schema: Schema) -> bool:
    """Whether ``schema`` has more than annotations."""
    return any(word in _MEANINGFUL for word in schema)


def merged(left: Schema, right: Schema, pointer: str) -> dict[str, Any]:
    """The schema of what both admit. Raises `SchemaError` where it cannot be told."""
    result: dict[str, Any] = {word: left[word] for word in left if word in _MEANINGFUL}
    _check_closed(left, right, pointer)
    for word, asked in right.items():
        if word not in _MEANINGFUL:
            continue
        if word not in result or _same(result[word], asked):
            result[word] = asked
        else:
            result[word] = _both(word, result[word], asked, pointer)
    return result


def _both(word: str, one: Any, other: Any, pointer: str) -> Any:
    if word == "type":
        kinds = _shared_types(types_of({"type": one}, pointer), types_of({"type": other}, pointer))
        if not kinds:
            raise SchemaError(pointer, "its parts have no type in common")
        return kinds
    if word in _HIGHEST:
        return max(one, other)
    if word in _LOWEST:
        return min(one, other)
    if word == "enum":
        return [value for value in one if any(_same(value, kept) for kept in other)]
    if word == "required":
        return [*one, *(name for name in other if name not in one)]
    if word == "properties":
        return _properties(one, other)
    if word == "items" and isinstance(one, dict) and isinstance(other, dict):
        return {"allOf": [one, other]}
    raise SchemaError(pointer, f"its parts have '{word}' twice, which cannot be joined")


def _shared_types(one: Sequence[str], other: Sequence[str]) -> list[str]:
    shared = [kind for kind in one if kind in other]
    if "integer" not in shared and {"integer", "number"} <= {*one, *other}:
        shared.append("integer")
    return shared


def _properties(one: Schema, other: Schema) -> dict[str, Any]:
    joined = dict(one)
    for name, asked in other.items():
        joined[name] = {"allOf": [joined[name], asked]} if name in joined else asked
    return joined


def _check_closed(left: Schema, right: Schema, pointer: str) -> None:
    """What one part says of further properties holds for those that only the other one names."""
    for one, other in ((left, right), (right, left)):
        limits = "additionalProperties" in one or "patternProperties" in one
        others = {*other.get("properties", {})} - {*one.get("properties", {})}
        if limits and one.get("additionalProperties") is not True and others:
            raise SchemaError(pointer, f"its parts disagree on the property '{min(others)}'")


def _same(one: object, other: object) -> bool:
    """To Python true is 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _share(values: list[Any], others: list[Any]) -> bool:
    return any(_same(value, kept) for value in values for kept in others)


# --- oneOf ---


def are_disjoint(options: Sequence[Schema], resolved: Callable[[Schema], Schema]) -> bool:
    """Whether it can be shown that no value is of two of ``options``."""
    known = [resolved(option) for option in options]
    return all(_apart(one, other, resolved) for one, other in combinations(known, 2))


def _apart(one: Schema, other: Schema, resolved: Callable[[Schema], Schema]) -> bool:
    values, others = _values(one), _values(other)
    if values is not None and others is not None:
        return not _share(values, others)
    kinds, other_kinds = _kinds(one), _kinds(other)
    if kinds is None or other_kinds is None:
        return False
    if not kinds & other_kinds:
        return True
    return kinds & other_kinds == {"object"} and (
        _told_by_a_property(one, other, resolved) or _lacks(one, other) or _lacks(other, one)
    )


def _kinds(schema: Schema) -> set[str] | None:
    """The types of ``schema``, if it says so itself; an integer is a number."""
    if (values := _values(schema)) is not None:
        return {_kind(value) for value in values}
    if "type" not in schema:
        return None
    return {"number" if kind == "integer" else kind for kind in types_of(schema, "#")}


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "number")


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    found = schema.get("enum")
    return found if isinstance(found, list) else None


def _told_by_a_property(one: Schema, other: Schema, resolved: Callable[[Schema], Schema]) -> bool:
    for name in {*one.get("required", [])} & {*other.get("required", [])}:
        mine, theirs = one.get("properties", {}).get(name), other.get("properties", {}).get(name)
        if not isinstance(mine, dict) or not isinstance(theirs, dict):
            continue
        values, others = _values(resolved(mine)), _values(resolved(theirs))
        if values is not None and others is not None and not _share(values, others):
            return True
    return False


def _lacks(closed: Schema, other: Schema) -> bool:
    """Whether ``other`` demands a property that ``closed`` has no place for."""
    return (
        closed.get("additionalProperties") is False
        and "patternProperties" not in closed
        and bool({*other.get("required", [])} - {*closed.get("properties", {})})
    )
