"""What GET /admin/config says, as tables: each value, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from json import dumps
from typing import Any

from supervisor.cli.table import Column, Row

COLUMNS = (Column("setting"), Column("value"), Column("from"), Column("default", rank=1))
MODEL_COLUMNS = (Column("key"), Column("value"), Column("from"))
_SECRET = "(secret)"


def settings(found: Iterable[Mapping[str, Any]], *, everything: bool) -> Iterator[Row]:
    """Those that somebody has set, or ``everything``."""
    for one in found:
        if everything or one["from"] != "default":
            secret = _SECRET if one["is_set"] else ""
            value = secret if one["secret"] else _text(one["value"])
            note = one["description"] if everything else ""
            yield Row(one["name"], (value, one["from"], _text(one["default"])), note)


def values(found: Mapping[str, Mapping[str, Any]], *, everything: bool) -> Iterator[Row]:
    """What is in force for one model that is no default, or ``everything``."""
    for key, one in found.items():
        if everything or one["from"] != "default":
            yield Row(key, (_text(one["value"]), one["from"]), one["file"])


def _text(value: Any) -> str:
    if value is None or value == []:
        return ""
    return value if isinstance(value, str) else dumps(value, ensure_ascii=False)
