"""What /admin/keys says, as a table: who may come in, what each may do and have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from supervisor.cli.table import Column, Row

COLUMNS = (
    Column("key"),
    Column("role"),
    Column("weight", rank=2, right=True),
    Column("priority", rank=2, right=True),
    Column("requests/min", rank=1, right=True),
    Column("tokens/min", rank=1, right=True),
    Column("tokens/day", right=True),
    Column("at once", rank=1, right=True),
    Column("from", rank=3),
)
_LIMITS = ("requests_per_min", "tokens_per_min", "tokens_per_day", "concurrent")


def rows(keys: Iterable[dict[str, Any]]) -> Iterator[Row]:
    """A row for each key; its note are the models that it may use, where those are not all."""
    for key in keys:
        cells = (
            str(key["role"]),
            f"{key['weight']:g}",
            str(key["priority"]),
            *(str(key[limit] or "") for limit in _LIMITS),
            "the file" if key["changeable"] else "elsewhere",
        )
        yield Row(str(key["name"]), cells, ", ".join(key["models"]))
