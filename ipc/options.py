"""An engine's options as a typed struct: decoded once, and refused with what to write instead.

A struct has a field for each option. The field's type says what it takes, its default stands there
and nowhere else, and its `Meta` (see `option`) says what it is for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec
from msgspec import inspect

WEEK_S = 604_800


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of one engine for one task."""


class OptionError(ValueError):
    """An option that cannot be used. The message begins with its name, and is one line."""


class UnknownOption(OptionError):
    """There is no option of this ``name``; these are ``known``."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"{name}: unknown; the options are {', '.join(known) or 'none'}")
        self.name = name
        self.known = known


class Described(NamedTuple):
    """An option for people: what it ``takes`` in words, its ``default`` (None: the engine decides,
    as its ``help`` says) and whether it may be left out."""

    name: str
    takes: str
    default: Any
    is_required: bool
    help: str


AnyOptions = TypeVar("AnyOptions", bound=msgspec.Struct)


def option(help_: str, check: Callable[[str], object] | None = None) -> msgspec.Meta:
    """What an option is for, and perhaps a check that raises `ValueError` beyond what its type and
    its range say."""
    return msgspec.Meta(description=help_, extra={"check": check})


def decode(kind: type[AnyOptions], given: Mapping[str, Any]) -> AnyOptions:
    """``given`` as a ``kind``, with its defaults. Raises `OptionError`."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, value in given.items():
        if name not in fields:
            raise UnknownOption(name, sorted(fields))
        _check(fields[name], value)
    for field in fields.values():
        if field.required and field.name not in given:
            raise OptionError(f"{field.name}: is missing; add it")
    return msgspec.convert(given, kind)


def described(kind: type[msgspec.Struct]) -> list[Described]:
    """The options of ``kind``, in the order in which they are declared."""
    return [_described(field) for field in msgspec.structs.fields(kind)]


def _described(field: msgspec.structs.FieldInfo) -> Described:
    found = inspect.type_info(field.type)
    schema = found.extra_json_schema if isinstance(found, inspect.Metadata) else None
    default = None if field.required else field.default
    return Described(
        field.name, _takes(field.type), default, field.required, (schema or {})["description"]
    )


def _check(field: msgspec.structs.FieldInfo, value: Any) -> None:
    found = inspect.type_info(field.type)
    try:
        msgspec.convert(value, field.type)
    except msgspec.ValidationError:
        raise OptionError(f"{field.name}: {_why(field.type, value)}") from None
    check = (found.extra or {}).get("check") if isinstance(found, inspect.Metadata) else None
    if check is not None:
        try:
            check(value)
        except ValueError as error:
            raise OptionError(f"{field.name}: {error}") from None


def _choices(kind: Any) -> list[Any]:
    """The values of a `Literal`, in the order in which they are declared; else none."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [value for part in get_args(kind) for value in _choices(part)]


def _alternatives(found: inspect.Type) -> list[inspect.Type]:
    """The types that a value may have, None left out, since an option has no such value."""
    if isinstance(found, inspect.Metadata):
        return _alternatives(found.type)
    if isinstance(found, inspect.UnionType):
        return [one for one in found.types if not isinstance(one, inspect.NoneType)]
    return [found]


def _why(kind: Any, value: Any) -> str:
    """What is wrong with ``value``, and what to write instead."""
    if choices := _choices(kind):
        return f"{shown(value)} is not one of {', '.join(map(repr, choices))}"
    match _alternatives(inspect.type_info(kind))[0]:
        case inspect.IntType() | inspect.FloatType() as wanted:
            return _why_no_number(wanted, value)
        case inspect.StrType() if not isinstance(value, str):
            return f"{shown(value)} is not text; put it in quotes"
        case inspect.StrType() if not value:
            return f"{value!r} is empty; write something, or leave it out"
        case inspect.StrType() as wanted:
            return f"{value!r} is not of the form {wanted.pattern}; correct it"
        case _:
            return f"{shown(value)} is neither true nor false; write it without quotes"


def _why_no_number(wanted: inspect.IntType | inspect.FloatType, value: Any) -> str:
    limits = allowed(wanted.ge, wanted.gt, wanted.le)
    kinds = (int,) if isinstance(wanted, inspect.IntType) else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
        name = "a whole number" if isinstance(wanted, inspect.IntType) else "a number"
        return f"{shown(value)} is not {name}; {limits}"
    is_high = wanted.le is not None and value > wanted.le
    return f"{shown(value)} is too {'high' if is_high else 'low'}; {limits}"


def _takes(kind: Any) -> str:
    if choices := _choices(kind):
        return ", ".join(f"`{choice}`" for choice in choices)
    return ", or ".join(map(_named, _alternatives(inspect.type_info(kind))))


def _named(wanted: inspect.Type) -> str:
    if isinstance(wanted, inspect.IntType | inspect.FloatType):
        name = "a whole number" if isinstance(wanted, inspect.IntType) else "a number"
        limits = allowed(wanted.ge, wanted.gt, wanted.le)
        is_bounded = wanted.ge is not None or wanted.gt is not None
        return f"{name}, {limits.removeprefix('set it to ')}" if is_bounded else name
    if isinstance(wanted, inspect.ListType):
        return "a list of texts"
    return "true or false" if isinstance(wanted, inspect.BoolType) else "text"


# --- words for values, of settings and catalog entries too ---


def shown(value: Any) -> str:
    """A value as whoever wrote it knows it: true, not True, and no more of a list than that it is
    one."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "a list"
    return "a group of keys" if isinstance(value, dict) else repr(value)


def allowed(ge: float | None, gt: float | None, le: float | None) -> str:
    """The range of a number, as an instruction."""
    if ge is None and gt is None:
        return "correct it"
    least = f"{ge}" if ge is not None else f"more than {gt}"
    if le is not None:
        return f"set it to {least}, up to {le}"
    return f"set it to {least}" + (" or more" if ge is not None else "")
