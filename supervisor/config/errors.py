"""A user's mistake as one line: what is wrong, where, and what to set instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ipc import options
from ipc.options import shown

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
# By pydantic's error type, where it has no range to name.
_INSTEAD = {
    "string_type": "is not text; put it in quotes",
    "string_too_short": "is empty; write something, or leave it out",
    "string_pattern_mismatch": "is not of the form {pattern}; correct it",
    "list_type": "is not a list; write one as [a, b]",
    "dict_type": "is not a group of keys; write one as {{key: value}}",
    "model_type": "is not a group of keys; write one as {{key: value}}",
    "invalid_key": "is not text; put it in quotes",
    "bool_parsing": "is neither true nor false; set it to 1 or 0",
    "bool_type": "is neither true nor false; write it without quotes",
}
# A part of a name is no hint where many names have it.
_PART_CHARS = 3
_HINTS = 3


class ConfigError(Exception):
    """A setting that cannot be used. The message is one line that names it and the way out."""

    def __init__(self, message: str) -> None:
        # What a user wrote may hold line breaks and terminal commands.
        super().__init__("".join(char if char.isprintable() else " " for char in message))


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean ...?`` with the names in which ``name`` begins a word, else those most like
    it; or nothing. One that has it for all that follows a slash is the one."""
    by_folded = {text.lower(): text for text in known}
    part = name.lower()
    begins = re.compile(rf"(?<![a-z0-9]){re.escape(part)}")
    holding = [text for text in by_folded if begins.search(text) and len(part) >= _PART_CHARS]
    whole = [text for text in holding if text.endswith(f"/{part}")]
    close = difflib.get_close_matches(part, by_folded, n=_HINTS, cutoff=0.5)
    return _question([by_folded[text] for text in whole or sorted(holding, key=len) or close])


def misspelt(name: str, known: Iterable[str]) -> str:
    """The same, but only where ``name`` can hardly have been meant for anything else."""
    by_folded = {text.lower(): text for text in known}
    close = difflib.get_close_matches(name.lower(), by_folded, n=_HINTS, cutoff=0.85)
    return _question([by_folded[text] for text in close])


def _question(names: list[str]) -> str:
    return f"; did you mean {' or '.join(names[:_HINTS])}?" if names else ""


def explain(error: ErrorDetails, field: FieldInfo | None = None) -> str:
    """One pydantic error in the words of this module, with the range that ``field`` allows."""
    kind, context = error["type"], error.get("ctx", {})
    stem = kind.split("_")[0]
    value = shown(error["input"])
    if kind == "missing":
        return "is missing; add it"
    if kind == "value_error":
        return str(context["error"])
    if error["input"] is None:
        return "has no value; write one, or leave the key out"
    if kind == "literal_error":
        return f"{value} is not one of {context['expected'].replace(' or ', ', ')}"
    if kind in _INSTEAD:
        return f"{value} {_INSTEAD[kind].format(**context)}"
    if stem in ("greater", "less"):
        return f"{value} is too {'low' if stem == 'greater' else 'high'}; {allowed(field)}"
    if stem in _KINDS:
        return f"{value} is not {_KINDS[stem]}; {allowed(field)}"
    return f"{value}: {error['msg'][0].lower()}{error['msg'][1:]}"


def words(error: BaseException) -> str:
    """What an error of the system or a library says, on a line and without its number."""
    text = re.sub(r"\[Errno -?\d+\] ", "", " ".join(str(error).split()))
    return text or type(error).__name__


def unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why a file of text cannot be read."""
    return error.strerror or str(error) if isinstance(error, OSError) else "not UTF-8 text"


def allowed(field: FieldInfo | None) -> str:
    """The range of a number, as an instruction."""
    limits: dict[str, Any] = {}
    for rule in field.metadata if field else []:
        for name in ("ge", "gt", "le"):
            if getattr(rule, name, None) is not None:
                limits[name] = getattr(rule, name)
    return options.allowed(limits.get("ge"), limits.get("gt"), limits.get("le"))
