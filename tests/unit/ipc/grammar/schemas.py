"""Made-up JSON Schemas, each with values that it admits."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

NAMES = ["a", "ab", "b", 'q"', "ü", "\\", "\n", "😀", "", "type"]
PATTERNS = ["^[a-c]{1,3}$", "b+", '^"', "x|^y", "^(?:\\d-)+[^d]$", "^$"]
MANY = 10**18  # as long as all that are written
LETTERS = 'abcxy19d-"\\\n\x00ü😀'


class Made(NamedTuple):
    schema: Any
    values: SearchStrategy[Any]


TEXTS = st.text(LETTERS, max_size=6)
SCALARS = st.none() | st.booleans() | st.integers(-300, 300) | TEXTS
ANYTHING = st.recursive(
    SCALARS | st.decimals(-9, 9, places=2).map(float),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=5,
)


@st.composite
def enums(draw: st.DrawFn) -> Made:
    values = draw(st.lists(ANYTHING, min_size=1, max_size=3))
    return Made({"enum": values}, st.sampled_from(values))


@st.composite
def integers(draw: st.DrawFn) -> Made:
    least = draw(st.none() | st.integers(-250, 250))
    span = draw(st.none() | st.integers(0, 300))
    most = None if span is None else (least or 0) + span
    low = {} if least is None else draw(_bound("minimum", "exclusiveMinimum", least, -1))
    high = {} if most is None else draw(_bound("maximum", "exclusiveMaximum", most, 1))
    ends = -MANY if least is None else least, MANY if most is None else most
    return Made({"type": "integer", **low, **high}, st.integers(*ends))


@st.composite
def _bound(draw: st.DrawFn, word: str, excluding: str, value: int, beyond: int) -> dict[str, int]:
    return {excluding: value + beyond} if draw(st.booleans()) else {word: value}


@st.composite
def numbers(draw: st.DrawFn) -> Made:
    least, most = sorted(draw(st.lists(st.integers(-999, 999), min_size=2, max_size=2)))
    schema: dict[str, Any] = {"type": "number"}
    low, high = draw(st.booleans()), draw(st.booleans())
    if low:
        schema["minimum"] = least / 100
    if high:
        schema["maximum"] = most / 100
    values = st.integers(least if low else -9999, most if high else 9999)
    return Made(schema, values.map(lambda value: value / 100))


@st.composite
def strings(draw: st.DrawFn) -> Made:
    if draw(st.booleans()):
        pattern = draw(st.sampled_from(PATTERNS))
        python = re.sub(r"\$$", r"\\Z", pattern)
        values = st.from_regex(re.compile(python, re.ASCII)).filter(lambda text: "\r" not in text)
        return Made({"type": "string", "pattern": pattern}, values)
    least, span = draw(st.integers(0, 3)), draw(st.none() | st.integers(0, 3))
    most = None if span is None else least + span
    schema: dict[str, Any] = {"type": "string", "minLength": least}
    if most is not None:
        schema["maxLength"] = most
    return Made(schema, st.text(LETTERS, min_size=least, max_size=least + (span or 0)))


PLAIN = (
    st.sampled_from(
        [
            Made({"type": "null"}, st.none()),
            Made({"type": "boolean"}, st.booleans()),
            Made({"type": ["integer", "null"]}, st.none() | st.integers(-9, 9)),
            Made({}, ANYTHING),
        ]
    )
    | enums()
    | integers()
    | numbers()
    | strings()
)


@st.composite
def arrays(draw: st.DrawFn, inner: SearchStrategy[Made]) -> Made:
    first = draw(st.lists(inner, max_size=2))
    rest = draw(inner)
    least = draw(st.integers(0, 3))
    most = least + draw(st.integers(0, 2))
    schema: dict[str, Any] = {"type": "array", "items": rest.schema, "minItems": least}
    schema |= {"prefixItems": [one.schema for one in first]} if first else {}
    schema |= {"maxItems": most}
    wanted = [*(one.values for one in first), *[rest.values] * most]
    values = st.integers(least, most).flatmap(lambda count: st.tuples(*wanted[:count]).map(list))
    return Made(schema, values)


@st.composite
def objects(draw: st.DrawFn, inner: SearchStrategy[Made]) -> Made:
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    known = {name: draw(inner) for name in names}
    required = [name for name in names if draw(st.booleans())]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: one.schema for name, one in known.items()},
        "required": required,
    }
    others: Made | bool | None = draw(st.none() | st.booleans() | inner)
    more: SearchStrategy[dict[str, Any]] = st.just({})
    if isinstance(others, bool):
        schema["additionalProperties"] = others
        others = Made({}, ANYTHING) if others else None
    elif others is not None:
        schema["additionalProperties"] = others.schema
    if others is not None:
        keys = TEXTS.filter(lambda key: key not in names)
        more = st.dictionaries(keys, others.values, max_size=2)
    kept = {name: one.values for name, one in known.items() if name in required}
    maybe = {name: one.values for name, one in known.items() if name not in required}
    values = st.tuples(st.fixed_dictionaries(kept, optional=maybe), more).map(
        lambda both: {name: both[0][name] for name in names if name in both[0]} | both[1]
    )
    return Made(schema, values)


@st.composite
def options(draw: st.DrawFn, inner: SearchStrategy[Made]) -> Made:
    found = draw(st.lists(inner, min_size=1, max_size=3))
    chosen = st.one_of([one.values for one in found])
    return Made({"anyOf": [one.schema for one in found]}, chosen)


MADE = st.recursive(
    PLAIN, lambda inner: arrays(inner) | objects(inner) | options(inner), max_leaves=6
)
