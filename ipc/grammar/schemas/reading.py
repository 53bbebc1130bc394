"""Reading a JSON Schema before it is compiled: bounds, references, what cannot be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

Schema = Mapping[str, Any]

MAX_BYTES = 64 << 10
MAX_DEPTH = 64
MAX_NAMES = 1000  # properties and values of enums, all of them together
# xgrammar takes seconds for more, in which no other grammar is compiled: 60 took 2 s, 150 took 10
# where each was a text that is bounded and may be left out (two busy cores).
MAX_PROPERTIES = 256

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
# A schema without a type is of the one that its keywords are about.
KEYWORDS_OF = {
    "object": ("properties", "required", "additionalProperties", "patternProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "additionalItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
UNKEPT = (
    "not",
    "if",
    "then",
    "else",
    "contains",
    "minContains",
    "maxContains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "multipleOf",
    "$dynamicRef",
    "$recursiveRef",
)


class SchemaError(ValueError):
    """Why a schema is refused: ``why`` of what stands at ``pointer``, a JSON pointer."""

    def __init__(self, pointer: str, why: str) -> None:
        super().__init__(f"{pointer}: {why}")
        self.pointer = pointer
        self.why = why


def unkept(schema: Schema, keyword: str) -> bool:
    """Whether ``keyword`` is there and asks for something that is not kept."""
    if keyword not in schema:
        return False
    asked = schema[keyword]
    if keyword == "uniqueItems":
        return asked is not False
    if keyword in ("minProperties", "minContains"):
        return bool(asked != 0)
    return True


def types_of(schema: Schema, pointer: str) -> tuple[str, ...]:
    """The types that a value may have. Raises `SchemaError`."""
    given = schema.get("type")
    if given is None:
        about = [
            kind for kind, words in KEYWORDS_OF.items() if any(word in schema for word in words)
        ]
        return tuple(about) or TYPES
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not listed or not all(one in TYPES for one in listed):
        raise SchemaError(f"{pointer}/type", f"must be of {', '.join(TYPES)}")
    return tuple(dict.fromkeys(listed))


def resolve(root: Schema, reference: object, pointer: str) -> tuple[Any, str]:
    """What a ``$ref`` at ``pointer`` leads to, and the pointer of that. Raises `SchemaError`."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise SchemaError(
            f"{pointer}/$ref", "leads outside of this schema; only '#' and '#/…' are supported"
        )
    found: Any = root
    for step in reference.split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(name)] if isinstance(found, list) else found[name]
        except (KeyError, IndexError, ValueError, TypeError):
            raise SchemaError(f"{pointer}/$ref", f"leads nowhere: {reference}") from None
    return found, reference


def step(pointer: str, name: str | int) -> str:
    """The pointer of what is called ``name`` at ``pointer``."""
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"


def check_bounds(schema: object) -> None:
    """Raise `SchemaError` where ``schema`` is deeper or has more names than is allowed."""
    properties, values, todo = 0, 0, [(schema, 1)]
    while todo:
        one, depth = todo.pop()
        if depth > 2 * MAX_DEPTH:  # a property is two levels: its schema is within "properties"
            raise SchemaError("#", f"is deeper than {MAX_DEPTH} levels")
        if isinstance(one, dict):
            properties += len(one["properties"]) if isinstance(one.get("properties"), dict) else 0
            values += len(one["enum"]) if isinstance(one.get("enum"), list) else 0
            todo += [(value, depth + 1) for value in one.values()]
        elif isinstance(one, list):
            todo += [(value, depth + 1) for value in one]
    if properties > MAX_PROPERTIES:
        raise SchemaError("#", f"has {properties} properties; at most {MAX_PROPERTIES}")
    if properties + values > MAX_NAMES:
        raise SchemaError(
            "#", f"has {properties + values} properties and enum values; at most {MAX_NAMES}"
        )
