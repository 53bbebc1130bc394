"""Tables that fit a terminal without ever breaking a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.text import Text

from supervisor.cli.harmless import harmless

_GAP = "  "
_STYLES = {
    "green": ("ready", "ok", "yes", "served"),
    "yellow": ("starting", "backoff", "draining", "loading", "degraded", "pulled"),
    "red": ("failed", "unavailable", "FAILED"),
}
STYLE_OF = {word: style for style, words in _STYLES.items() for word in words}


@dataclass(frozen=True)
class Column:
    """One column. Where not all fit, those of the highest ``rank`` are left out first; rank 0 never
    is. Numbers stand to the ``right``."""

    head: str
    rank: int = 0
    right: bool = False


@dataclass(frozen=True)
class Row:
    """A name, a cell for each further column, and a note of any length, or none."""

    name: str
    cells: tuple[str, ...]
    note: str = ""


def show(console: Console, columns: Sequence[Column], rows: Sequence[Row], note: str = "") -> None:
    """Print ``rows``, the first column being their names. ``note`` heads the notes.

    As long as all of it fits, a row is a line. Else columns are left out, then notes move below
    their rows, then names have lines of their own.
    """
    columns = [replace(column, head=harmless(column.head)) for column in columns]
    rows = [_harmless(row) for row in rows]
    cells = [[row.name, *row.cells] for row in rows]
    whole = [[*cells[at], row.note] for at, row in enumerate(rows)]
    if any(row.note for row in rows) and _width([*columns, Column(note)], whole) <= console.width:
        _lines(console, [*columns, Column(note)], whole)
        return
    kept = _fitting(columns, cells, console.width)
    shown = [[row[at] for at in kept] for row in cells]
    notes = [row.note for row in rows]
    kept_columns = [columns[at] for at in kept]
    if _width(kept_columns, shown) <= console.width:
        _lines(console, kept_columns, shown, notes)
    else:
        _stacked(console, kept_columns, shown, notes)


def _harmless(row: Row) -> Row:
    """The lines of a note are for one line here."""
    note = harmless(" ".join(row.note.splitlines()))
    return Row(harmless(row.name), tuple(map(harmless, row.cells)), note)


def _fitting(columns: Sequence[Column], rows: list[list[str]], width: int) -> list[int]:
    """Which columns stay: as many as fit, the least important leaving first."""
    kept = list(range(len(columns)))
    for rank in range(max((column.rank for column in columns), default=0), 0, -1):
        shown = [[row[at] for at in kept] for row in rows]
        if _width([columns[at] for at in kept], shown) <= width:
            break
        kept = [at for at in kept if columns[at].rank != rank]
    return kept


def _widths(columns: Sequence[Column], rows: list[list[str]]) -> list[int]:
    return [
        max([len(column.head), *(len(row[at]) for row in rows)])
        for at, column in enumerate(columns)
    ]


def _width(columns: Sequence[Column], rows: list[list[str]]) -> int:
    widths = _widths(columns, rows)
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _lines(
    console: Console,
    columns: Sequence[Column],
    rows: list[list[str]],
    notes: Sequence[str] = (),
) -> None:
    widths = _widths(columns, rows)
    _print(console, Text(_line([column.head for column in columns], columns, widths), "bold"))
    for index, row in enumerate(rows):
        _print(console, _coloured(_line(row, columns, widths), row))
        _below(console, notes[index] if notes else "")


def _stacked(
    console: Console, columns: Sequence[Column], rows: list[list[str]], notes: Sequence[str]
) -> None:
    """Names on lines of their own, the rest below them."""
    rest, cells = columns[1:], [row[1:] for row in rows]
    widths = _widths(rest, cells)
    heads = [columns[0].head, _GAP + _line([column.head for column in rest], rest, widths)]
    for head in heads:
        _print(console, Text(head, "bold"))
    for row, note in zip(rows, notes, strict=True):
        _print(console, Text(row[0]))
        _print(console, _coloured(_GAP + _line(row[1:], rest, widths), row))
        _below(console, note)


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if column.right else cell.ljust(width)
        for cell, column, width in zip(cells, columns, widths, strict=True)
    )
    return _GAP.join(padded).rstrip()


def _coloured(line: str, row: Sequence[str]) -> Text:
    text = Text(line)
    for cell in row[1:]:
        if style := STYLE_OF.get(cell):
            text.highlight_words([f"{_GAP}{cell}"], style)
    return text


def _below(console: Console, note: str) -> None:
    if note:
        for line in Text(note, "dim").wrap(console, console.width - len(_GAP)):
            line.rstrip()
            _print(console, Text(_GAP).append(line))


def _print(console: Console, text: Text) -> None:
    console.print(text, no_wrap=True, overflow="ignore", crop=False, highlight=False)
