"""A user's mistake as one line: what is wrong, where, and what to set instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

# <sysexits.h> EX_CONFIG. The systemd unit does not restart after it: waiting mends no setting.
EXIT_CONFIG = 78

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
}


class ConfigError(Exception):
    """A setting that cannot be used. The message is one line that names it and the way out."""

    def __init__(self, message: str) -> None:
        # What a user wrote may hold line breaks and terminal commands.
        super().__init__("".join(char if char.isprintable() else " " for char in message))


def nearest(name: str, known: Iterable[str], alike: float = 0.5) -> str:
    """``; did you mean ...?`` with the names most like ``name``, or nothing."""
    by_folded = {text.lower(): text for text in known}
    close = difflib.get_close_matches(name.lower(), by_folded, n=3, cutoff=alike)
    return f"; did you mean {' or '.join(by_folded[text] for text in close)}?" if close else ""


def explain(error: ErrorDetails, field: FieldInfo | None = None) -> str:
    """One pydantic error in the words of this module, with the range that ``field`` allows."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    stem = kind.split("_")[0]
    if kind == "missing":
        return "is missing; add it"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"{value!r} is not one of {context['expected'].replace(' or ', ', ')}"
    if kind == "bool_parsing":
        return f"{value!r} is neither true nor false; set it to 1 or 0"
    if stem in ("greater", "less"):
        return f"{value!r} is too {'low' if stem == 'greater' else 'high'}; {allowed(field)}"
    if stem in _KINDS:
        return f"{value!r} is not {_KINDS[stem]}; {allowed(field)}"
    return f"{value!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def allowed(field: FieldInfo | None) -> str:
    """The range of a number, as an instruction."""
    limits: dict[str, Any] = {}
    for rule in field.metadata if field else []:
        for name in ("ge", "gt", "le"):
            if getattr(rule, name, None) is not None:
                limits[name] = getattr(rule, name)
    if "ge" in limits:
        least = f"{limits['ge']}"
    elif "gt" in limits:
        least = f"more than {limits['gt']}"
    else:
        return "correct it"
    if "le" in limits:
        return f"set it to {least}, up to {limits['le']}"
    return f"set it to {least} or more" if "ge" in limits else f"set it to {least}"
