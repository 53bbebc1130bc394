"""Arguments that are no JSON in the answer: what they mean by the schema of the tool, and how a
grammar has them."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from ipc.grammar.expressions import either
from ipc.grammar.rules import Characters, Expression, Repetition, Terminal
from worker.chat.parsing.says import Says
from worker.chat.parsing.source import Malformed, Source, Steps
from worker.chat.rule_book import RuleBook, Signature

Schema = Mapping[str, Any]

_KINDS = {bool: "boolean", str: "string", list: "array", dict: "object", type(None): "null"}
_MOST_REFERENCES = 16


class Members:
    """The arguments of the opened call, told one by one as the members of an object."""

    def __init__(self, says: Says) -> None:
        self._says = says
        self._before = "{"

    def tell(self, key: str, text: str) -> None:
        """``text`` is the JSON of the argument ``key``."""
        self._says.arguments(f"{self._before}{json.dumps(key, ensure_ascii=False)}: {text}")
        self._before = ", "

    def close(self) -> None:
        """There are no more, and the call is complete."""
        self._says.arguments("{}" if self._before == "{" else "}")
        self._says.closed()

    def schema(self, key: str) -> Schema:
        """What the argument ``key`` is to be."""
        return property_of(self._says.schema, key)


def property_of(schema: Schema, key: str) -> Schema:
    """The schema of a property, with the definitions that it may refer to."""
    properties = resolved(schema, schema).get("properties")
    found = properties.get(key) if isinstance(properties, dict) else None
    if not isinstance(found, dict):
        return {}
    shared = {word: schema[word] for word in ("$defs", "definitions") if word in schema}
    return {**shared, **found}


def resolved(schema: Schema, root: Schema) -> Schema:
    """``schema``, or what it refers to within ``root``."""
    for _ in range(_MOST_REFERENCES):
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        found: Any = root
        for name in reference.split("/")[1:]:
            found = found.get(name) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            break
        schema = found
    return schema


def kinds_of(schema: Schema, root: Schema, depth: int = 4) -> set[str]:
    """The JSON types that ``schema`` names; none where it leaves them open."""
    schema = resolved(schema, root)
    named = schema.get("type")
    if isinstance(named, str):
        return {named}
    if isinstance(named, list):
        return {one for one in named if isinstance(one, str)}
    if "const" in schema or isinstance(schema.get("enum"), list):
        return {kind_of(one) for one in schema.get("enum", [schema.get("const")])}
    options = schema.get("anyOf") or schema.get("oneOf") or []
    if not depth or not isinstance(options, list):
        return set()
    kinds = [kinds_of(one, root, depth - 1) for one in options if isinstance(one, dict)]
    return set().union(*kinds) if all(kinds) else set()


def kind_of(value: Any) -> str:
    """The JSON type of a value."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "integer"
    return _KINDS.get(type(value), "number")


def json_of(text: str, schema: Schema) -> str:
    """``text`` as the JSON of what ``schema`` says that it is: a text stays one where it is to be
    one, or can be nothing else."""
    kinds = kinds_of(schema, schema)
    if kinds != {"string"}:
        found = literal(text.strip())
        if found is not None and fits(found, kinds):
            return _whole(found) if "number" not in kinds and "integer" in kinds else found
    return json.dumps(text, ensure_ascii=False)


def literal(text: str) -> str | None:
    """The JSON of a literal of JSON or Python; None where ``text`` is none."""
    try:
        json.loads(text, parse_constant=_refuse)
    except ValueError:
        pass
    else:
        return text
    try:
        return json.dumps(_plain(ast.literal_eval(text)), ensure_ascii=False, allow_nan=False)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    """A value of Python as JSON has it. Raises `TypeError`."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError


def fits(text: str, kinds: set[str]) -> bool:
    """Whether the JSON ``text`` is of one of ``kinds``; any is where there is none. A text is not:
    it is not in quotes where it is meant."""
    value = json.loads(text)
    kind = kind_of(value)
    if not kinds:
        return kind != "string"
    if kind == "number" and isinstance(value, float) and value.is_integer():
        return bool(kinds & {"number", "integer"})
    return kind in kinds or (kind == "integer" and "number" in kinds)


def _whole(text: str) -> str:
    value = json.loads(text)
    return str(int(value)) if isinstance(value, float) else text


def _refuse(name: str) -> Any:
    raise ValueError(name)


def name(source: Source) -> Steps[str]:
    """The name here, of a tool or of an argument. Raises `Malformed` where there is none."""
    text = ""
    while (letter := (yield from source.char())).isalnum() or letter in "_-.":
        text += letter
        source.at += 1
    if not text:
        raise Malformed
    return text


# --- as grammars ---


def members_of(tool: Signature) -> list[tuple[str, Schema, bool]]:
    """The properties of the arguments of ``tool``, each with its schema and whether it must be
    there."""
    schema = resolved(tool.schema, tool.schema)
    properties = schema.get("properties")
    required = schema.get("required")
    names = list(properties) if isinstance(properties, dict) else []
    needed = required if isinstance(required, list) else []
    return [(one, property_of(tool.schema, one), one in needed) for one in names]


def is_text(schema: Schema) -> bool:
    """Whether a value is a text and nothing else."""
    return kinds_of(schema, schema) == {"string"}


def text_rules(book: RuleBook, tool: Signature, schema: Schema, *ends: str) -> Expression:
    """A text without quotes that ``schema`` admits; what follows it begins with one of ``ends``."""
    schema = resolved(schema, schema)
    if "const" in schema or "enum" in schema:
        texts = [one for one in schema.get("enum", [schema.get("const")]) if isinstance(one, str)]
        return either([Terminal(one) for one in texts])
    pattern = book.pattern(tool, schema)
    if pattern is not None:
        return pattern
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if least or most is not None:
        firsts = tuple(sorted({(ord(one[0]), ord(one[0])) for one in ends}))
        return Repetition(Characters(firsts, negated=True), least, most)
    return book.without("text", *ends)
