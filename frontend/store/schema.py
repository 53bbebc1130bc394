"""What stands in a file, made what is declared: it may be of another version or another program."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence

from frontend.store.table import Table

# What goes with a table is dropped before it.
_KINDS = ("trigger", "view", "index", "table")

_Place = tuple[str, str]  # kind and name


def conform(connection: sqlite3.Connection, tables: Sequence[Table]) -> list[str]:
    """Drop what is not declared, or otherwise: nobody would prune it, or could write to it. Then
    make what is missing. Returns the names of those of ``tables`` that were made otherwise, and
    whose rows are lost. Raises `sqlite3.Error`."""
    declared = _declared(tables)
    foreign = [
        (kind, name)
        for (kind, name), sql in _found(connection).items()
        if declared.get((kind, name)) != sql
    ]
    for kind, name in sorted(foreign, key=lambda place: _KINDS.index(place[0])):
        escaped = name.replace('"', '""')
        connection.execute(f'DROP {kind.upper()} IF EXISTS "{escaped}"')
    _make(connection, tables)
    return [name for kind, name in foreign if kind != "index" and ("table", name) in declared]


def _declared(tables: Sequence[Table]) -> Mapping[_Place, str]:
    """As SQLite itself writes them down."""
    with contextlib.closing(sqlite3.connect(":memory:")) as made:
        _make(made, tables)
        return _found(made)


def _make(connection: sqlite3.Connection, tables: Sequence[Table]) -> None:
    for table in tables:
        for statement in table.statements:
            connection.execute(statement)


def _found(connection: sqlite3.Connection) -> Mapping[_Place, str]:
    """How each table and index is made, but for those that SQLite keeps for itself."""
    rows = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite@_%' ESCAPE '@'"
    )
    return {(kind, name): " ".join(sql.split()) for kind, name, sql in rows}
