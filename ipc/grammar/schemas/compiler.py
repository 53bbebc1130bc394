"""JSON Schema as rules: each text that they admit is JSON that the schema admits.

Not every text is, though every value has one: whitespace and numbers are bounded (`json_text`), the
properties of an object come in the order of the schema, and where a schema does not say whether
others may follow, they may not. docs/forms.md says what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ipc.grammar.expressions import (
    NOTHING,
    either,
    is_nothing,
    left_recursive,
    sequence,
    size,
    times,
    without_dead_ends,
)
from ipc.grammar.regex import RegexError, of_regex
from ipc.grammar.rules import ROOT, Expression, Reference, Rules, Terminal
from ipc.grammar.schemas.brackets import elements, in_brackets, members_of
from ipc.grammar.schemas.formats import PATTERNS
from ipc.grammar.schemas.json_text import (
    BREAK,
    BREAK_NAME,
    CHARACTER,
    CHARACTERS,
    INTEGER,
    NUMBER,
    QUOTE,
    SPACE,
    STRING,
    encoded,
    exactly,
    text_of,
)
from ipc.grammar.schemas.merge import are_disjoint, merged, says_something
from ipc.grammar.schemas.number_bounds import integers_of, numbers_of
from ipc.grammar.schemas.other_keys import keys_except
from ipc.grammar.schemas.reading import (
    UNKEPT,
    Schema,
    SchemaError,
    check_bounds,
    resolve,
    step,
    types_of,
    unkept,
)

MAX_LENGTH = 4096
MAX_ITEMS = 4096
MAX_PREFIX_ITEMS = 128
MAX_NAME_CHARS = 256
# How many parts all rules may have, which options within options multiply.
MAX_PARTS = 40_000
# How many parts of `allOf` are looked at: references within them double at each level.
MAX_JOINS = 2_000

_ANY: Schema = {}
_ANY_OBJECT: Schema = {"type": "object"}
_VALUE, _STRING = Reference("value"), Reference("string")
_MEMBER = sequence(_STRING, Terminal(":"), SPACE, _VALUE)


class Compiled(NamedTuple):
    """``dropped`` are the pointers of what is not kept, of a schema that is not strict."""

    rules: Rules
    dropped: tuple[str, ...]


def compile_schema(schema: object, *, strict: bool = True) -> Compiled:
    """The rules of ``schema``, which is parsed JSON.

    Raises `SchemaError` where it is no schema, where it admits no value, is larger than the bounds
    of `reading`, or, if ``strict``, where it asks for something that is not kept.
    """
    check_bounds(schema)
    compiler = _Compiler(schema, strict)
    return Compiled(compiler.compile(), tuple(dict.fromkeys(compiler.dropped)))


class _Compiler:
    def __init__(self, schema: object, strict: bool) -> None:
        self._root: Schema = schema if isinstance(schema, Mapping) else {}
        self._schema = schema
        self._strict = strict
        self.dropped: list[str] = []
        self._rules: dict[str, Expression] = {}
        # By how a body is shown: expressions of two kinds with the same fields are equal.
        self._made: dict[str, Reference] = {}
        self._names: dict[str, str] = {}  # of rules, by the pointer that a reference leads to
        self._parts = 0
        self._joins = 0

    def compile(self) -> Rules:
        body = self._value(self._schema, "#", ())
        rules = {ROOT: body, **self._rules, BREAK_NAME: BREAK, **_SHARED}
        found = without_dead_ends(Rules(tuple(rules.items())))
        if found is None:
            raise SchemaError("#", "admits no value")
        if left_recursive(found) is not None:
            raise SchemaError("#", "has a reference that leads back to itself")
        if sum(size(body) for _, body in found.rules) > MAX_PARTS:
            raise _too_large()
        return found

    # --- any schema ---

    def _value(self, schema: object, pointer: str, open_references: tuple[str, ...]) -> Expression:
        """Values of ``schema``. ``open_references`` are those that led here with nothing written
        between: one that leads to itself would never be done."""
        if isinstance(schema, bool):
            return _VALUE if schema else NOTHING
        if not isinstance(schema, Mapping):
            raise SchemaError(pointer, "must be an object, true or false")
        if "$ref" in schema:
            return self._reference(schema, pointer, open_references)
        schema = self._kept(schema, pointer)
        if "allOf" in schema:
            return self._value(self._joined(schema, pointer), pointer, open_references)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return self._options(schema, word, pointer, open_references)
        return self._counted(self._plain(schema, pointer))

    def _plain(self, schema: Schema, pointer: str) -> Expression:
        """Values of a ``schema`` that is made of no others."""
        if "const" in schema or "enum" in schema:
            return self._enumerated(schema, pointer)
        if not says_something(schema):
            return _VALUE
        kinds = types_of(schema, pointer)
        if "number" in kinds:
            kinds = tuple(kind for kind in kinds if kind != "integer")
        return either(self._typed(kind, schema, pointer) for kind in kinds)

    def _kept(self, schema: Schema, pointer: str) -> Schema:
        """``schema`` without what is not kept."""
        lost = [word for word in UNKEPT if unkept(schema, word)]
        if "$id" in schema and pointer != "#":
            raise SchemaError(f"{pointer}/$id", "is not supported; only the whole schema has one")
        for word in lost:
            self._lose(f"{pointer}/{word}", "is not supported")
        return (
            {word: asked for word, asked in schema.items() if word not in lost} if lost else schema
        )

    def _lose(self, pointer: str, why: str) -> None:
        if self._strict:
            raise SchemaError(pointer, why)
        self.dropped.append(pointer)

    def _counted(self, expression: Expression) -> Expression:
        self._parts += size(expression)
        if self._parts > MAX_PARTS:
            raise _too_large()
        return expression

    def _define(self, kind: str, body: Expression) -> Reference:
        """A rule of its own, whose name begins with ``kind``."""
        name = self._new_name(kind)
        self._rules[name] = body
        return Reference(name)

    def _once(self, kind: str, body: Expression) -> Reference:
        """The rule of this ``body``, one for all places where it stands: engines work out the
        tokens that fit each rule."""
        made = self._made.get(shown := repr(body))
        if made is None:
            made = self._made[shown] = self._define(kind, body)
        return made

    def _new_name(self, kind: str) -> str:
        return f"{kind}-{len(self._rules)}"

    # --- references and combinations ---

    def _reference(
        self, schema: Schema, pointer: str, open_references: tuple[str, ...]
    ) -> Expression:
        target, place = resolve(self._root, schema["$ref"], pointer)
        if place in open_references:
            raise SchemaError(f"{pointer}/$ref", "leads back to itself")
        beside = {word: asked for word, asked in schema.items() if word != "$ref"}
        if says_something(beside):
            both = {"allOf": [target, beside]}
            return self._value(both, pointer, (*open_references, place))
        name = self._names.get(place)
        if name is None:
            name = self._names[place] = self._new_name("ref")
            self._rules[name] = NOTHING  # taken; the body follows
            self._rules[name] = self._value(target, place, (*open_references, place))
        return Reference(name)

    def _joined(self, schema: Schema, pointer: str) -> Schema:
        parts = schema["allOf"]
        if not isinstance(parts, list) or not parts:
            raise SchemaError(f"{pointer}/allOf", "must be an array of schemas")
        result: Schema = {word: asked for word, asked in schema.items() if word != "allOf"}
        for at, part in enumerate(parts):
            self._joins += 1
            if self._joins > MAX_JOINS:
                raise _too_large()
            place = f"{pointer}/allOf/{at}"
            try:
                result = merged(result, self._resolved(part, place), place)
            except SchemaError as error:
                self._lose(error.pointer, error.why)
        return result

    def _resolved(self, schema: object, pointer: str) -> Schema:
        """``schema`` without references and ``allOf`` at its top."""
        seen: set[str] = set()
        while True:
            if schema is True:
                return {}
            if schema is False:
                return {"enum": []}
            if not isinstance(schema, Mapping):
                raise SchemaError(pointer, "must be an object, true or false")
            if "$ref" in schema:
                beside = {word: asked for word, asked in schema.items() if word != "$ref"}
                target, place = resolve(self._root, schema["$ref"], pointer)
                if place in seen:
                    raise SchemaError(f"{pointer}/$ref", "leads back to itself")
                seen.add(place)
                schema = {"allOf": [target, beside]} if says_something(beside) else target
            elif "allOf" in schema:
                schema = self._joined(schema, pointer)
            else:
                return self._kept(schema, pointer)

    def _options(
        self, schema: Schema, word: str, pointer: str, open_references: tuple[str, ...]
    ) -> Expression:
        options = schema[word]
        if not isinstance(options, list) or not options:
            raise SchemaError(f"{pointer}/{word}", "must be an array of schemas")
        beside = {key: asked for key, asked in schema.items() if key != word}
        if word == "oneOf" and not are_disjoint(options, lambda one: self._resolved(one, pointer)):
            self._lose(f"{pointer}/oneOf", "has options that may hold together; send 'anyOf'")
        found = []
        for at, option in enumerate(options):
            place = f"{pointer}/{word}/{at}"
            whole = option
            if says_something(beside):
                whole = merged(beside, self._resolved(option, place), place)
            found.append(self._value(whole, place, open_references))
        return either(found)

    def _enumerated(self, schema: Schema, pointer: str) -> Expression:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        if not isinstance(values, list):
            raise SchemaError(f"{pointer}/enum", "must be an array")
        if "const" in schema and "enum" in schema:
            values = [value for value in schema["enum"] if text_of(value) == text_of(values[0])]
        if not values:
            raise SchemaError(f"{pointer}/enum", "is empty, so no value is admitted")
        limits = [word for word in schema if word not in ("const", "enum", "type")]
        if says_something({word: schema[word] for word in limits}):
            self._lose(pointer, "has an enum or const beside keywords that limit it")
        if "type" in schema:
            kinds = types_of(schema, pointer)
            values = [value for value in values if _is_of(value, kinds)]
        return either(exactly(value) for value in values)

    def _typed(self, kind: str, schema: Schema, pointer: str) -> Expression:
        match kind:
            case "object":
                return self._object(schema, pointer)
            case "array":
                return self._array(schema, pointer)
            case "string":
                return self._string(schema, pointer)
            case "integer" | "number":
                return self._number(kind, schema, pointer)
            case "boolean":
                return either([Terminal("true"), Terminal("false")])
            case _:
                return Terminal("null")

    # --- numbers and strings ---

    def _number(self, kind: str, schema: Schema, pointer: str) -> Expression:
        bounds = {}
        for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if word in schema:
                bounds[word] = _numeric(schema[word], f"{pointer}/{word}")
        if not bounds:
            return INTEGER if kind == "integer" else NUMBER
        try:
            found = integers_of(bounds) if kind == "integer" else numbers_of(bounds)
        except ValueError as error:
            self._lose(pointer, f"has a bound that {error}")
            return NUMBER
        if is_nothing(found):
            raise SchemaError(pointer, "has a minimum above its maximum")
        return found

    def _string(self, schema: Schema, pointer: str) -> Expression:
        least = _count(schema, "minLength", pointer, MAX_LENGTH) or 0
        most = self._most(schema, "maxLength", pointer, MAX_LENGTH)
        pattern = self._pattern(schema, pointer)
        if most is not None and least > most:
            raise SchemaError(pointer, "has a minLength above its maxLength")
        if pattern is not None:
            if least or most is not None:
                self._lose(pointer, "has a length beside a pattern or format; put it in a pattern")
            text = sequence(QUOTE, encoded(pattern), QUOTE)
            return self._once("text", self._counted(text))
        if most is not None:
            return sequence(QUOTE, times(CHARACTER, least, most), QUOTE)
        if not least:
            return _STRING
        return sequence(QUOTE, times(CHARACTER, least, least), CHARACTERS, QUOTE)

    def _pattern(self, schema: Schema, pointer: str) -> Expression | None:
        pattern, format_ = schema.get("pattern"), schema.get("format")
        if format_ is not None and format_ not in PATTERNS:
            self._lose(f"{pointer}/format", f"must be of {', '.join(PATTERNS)}")
            format_ = None
        if pattern is None:
            return None if format_ is None else of_regex(PATTERNS[format_], searched=False)
        if format_ is not None:
            self._lose(f"{pointer}/format", "stands beside a pattern")
        if not isinstance(pattern, str):
            raise SchemaError(f"{pointer}/pattern", "must be a string")
        try:
            return of_regex(pattern, searched=True)
        except RegexError as error:
            self._lose(f"{pointer}/pattern", str(error))
            return None

    def _most(self, schema: Schema, word: str, pointer: str, limit: int) -> int | None:
        """A bound from above; one that is too large to be kept is dropped."""
        try:
            return _count(schema, word, pointer, limit)
        except _TooLarge as error:
            self._lose(error.pointer, error.why)
            return None

    # --- arrays and objects ---

    def _array(self, schema: Schema, pointer: str) -> Expression:
        first, rest, rest_name = _items(schema, pointer)
        least = _count(schema, "minItems", pointer, MAX_ITEMS) or 0
        most = self._most(schema, "maxItems", pointer, MAX_ITEMS)
        if most is not None and least > most:
            raise SchemaError(pointer, "has a minItems above its maxItems")
        if rest is None:  # it does not say
            most = max(least, len(first)) if first and most is None else most
        known = [
            self._value(one, f"{pointer}/{rest_name[0]}/{at}", ()) for at, one in enumerate(first)
        ]
        known = known if most is None else known[:most]
        more: Expression = NOTHING
        if rest is not False and (most is None or most > len(known)):
            body = self._value(True if rest is None else rest, f"{pointer}/{rest_name[1]}", ())
            more = self._once("item", body)
        return in_brackets("[", elements(known, more, least, most), "]")

    def _object(self, schema: Schema, pointer: str) -> Expression:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, Mapping):
            raise SchemaError(f"{pointer}/properties", "must be an object")
        if not isinstance(required, list) or not all(isinstance(one, str) for one in required):
            raise SchemaError(f"{pointer}/required", "must be an array of strings")
        others = self._other_members(schema, properties, pointer)
        unnamed = [name for name in dict.fromkeys(required) if name not in properties]
        if unnamed and schema.get("additionalProperties") is False:
            raise SchemaError(f"{pointer}/required", f"names '{unnamed[0]}', which is not allowed")
        if unnamed and schema.get("patternProperties"):
            raise SchemaError(f"{pointer}/required", f"names '{unnamed[0]}', which has no schema")
        asked = schema.get("additionalProperties")
        known = dict(properties) | dict.fromkeys(unnamed, True if asked is None else asked)
        if unnamed and others is not None:
            others = self._other_members(schema, known, pointer)
        members: list[tuple[Reference, bool]] = []
        for name, one in known.items():
            value = self._value(one, step(f"{pointer}/properties", name), ())
            member = sequence(Terminal(f"{text_of(name)}:"), SPACE, value)
            members.append((self._define("member", member), name in required))
        return in_brackets("{", members_of(members, others, self._define), "}")

    def _other_members(
        self, schema: Schema, known: Mapping[str, Any], pointer: str
    ) -> Expression | None:
        """A member that has no name in ``known``; None where there are no such."""
        asked = schema.get("additionalProperties")
        by_pattern = schema.get("patternProperties")
        if by_pattern:
            return self._by_pattern(by_pattern, asked, known, pointer)
        if asked is False or (asked is None and "properties" in schema):
            return None
        value = self._value(True if asked is None else asked, f"{pointer}/additionalProperties", ())
        member = sequence(keys_except(known), Terminal(":"), SPACE, value)
        return self._define("other", member)

    def _by_pattern(
        self, by_pattern: Any, asked: object, known: Mapping[str, Any], pointer: str
    ) -> Expression | None:
        place = f"{pointer}/patternProperties"
        if not isinstance(by_pattern, Mapping):
            raise SchemaError(place, "must be an object")
        if len(by_pattern) > 1 or known or asked not in (None, False):
            self._lose(place, "is supported alone, with one pattern")
            return None
        [(pattern, schema)] = by_pattern.items()
        try:
            key = encoded(of_regex(pattern, searched=True))
        except RegexError as error:
            self._lose(place, str(error))
            return None
        value = self._value(schema, step(place, pattern), ())
        return self._define("other", sequence(QUOTE, key, QUOTE, Terminal(":"), SPACE, value))


def _too_large() -> SchemaError:
    return SchemaError("#", "is too large once its references and options are followed")


class _TooLarge(SchemaError):
    """A count that is larger than can be kept."""


def _count(schema: Schema, word: str, pointer: str, limit: int) -> int | None:
    """The number at ``word``, at most ``limit``. Raises `SchemaError`."""
    given = schema.get(word)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or given < 0 or given % 1:
        raise SchemaError(f"{pointer}/{word}", "must be a whole number of at least 0")
    if given > limit:
        raise _TooLarge(f"{pointer}/{word}", f"is {given}; at most {limit} can be kept")
    return int(given)


def _numeric(given: object, pointer: str) -> float | int:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise SchemaError(pointer, "must be a number; of draft 4's booleans there are none")
    return given


def _items(schema: Schema, pointer: str) -> tuple[list[Any], Any, tuple[str, str]]:
    """The schemas of the first items, that of the rest, and the keywords of both. Up to draft 7 a
    list at ``items`` was what ``prefixItems`` is."""
    names = ("prefixItems", "items")
    if isinstance(schema.get("items"), list):
        names = ("items", "additionalItems")
    first = schema.get(names[0], [])
    if not isinstance(first, list):
        raise SchemaError(f"{pointer}/{names[0]}", "must be an array of schemas")
    if len(first) > MAX_PREFIX_ITEMS:
        raise SchemaError(f"{pointer}/{names[0]}", f"has more than {MAX_PREFIX_ITEMS} schemas")
    return first, schema.get(names[1]), names


def _is_of(value: object, kinds: tuple[str, ...]) -> bool:
    if isinstance(value, bool):
        return "boolean" in kinds
    if isinstance(value, int | float):
        return "number" in kinds or ("integer" in kinds and value % 1 == 0)
    names = {str: "string", list: "array", dict: "object", type(None): "null"}
    return names[type(value)] in kinds


def _no_rule(kind: str, body: Expression) -> Reference:
    raise NotImplementedError(f"{kind} {body}")


_SHARED: dict[str, Expression] = {
    "value": either(
        [
            Reference("object"),
            Reference("array"),
            _STRING,
            NUMBER,
            *map(Terminal, ("true", "false", "null")),
        ]
    ),
    "object": in_brackets("{", members_of([], _MEMBER, _no_rule), "}"),
    "array": in_brackets("[", elements([], _VALUE, 0, None), "]"),
    "string": STRING,
}
