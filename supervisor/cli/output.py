"""What commands say: on a terminal as wide as it is, of problems on stderr.

All of it goes through here or `table`, and is made `harmless` to a terminal.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from supervisor.cli.harmless import harmless_json, harmless_lines

if TYPE_CHECKING:
    from rich.console import Console

    from supervisor.cli.console import Bars


def console() -> Console:
    from rich.console import Console

    # Piped output has no width of its own; folding it at 80 columns would break names apart.
    return Console(width=None if sys.stdout.isatty() else 200)


def say(text: object = "", end: str = "\n") -> None:
    """For people, on stdout: lines."""
    print(harmless_lines(text), end=end, flush=True)


def as_json(document: Any) -> None:
    """For programs: one document on stdout."""
    print(harmless_json(json.dumps(document, ensure_ascii=False, indent=2)))


def json_line(text: str) -> None:
    """For programs: one of many documents on stdout, as JSON already."""
    print(harmless_json(text), flush=True)


def as_written_json(text: bytes) -> None:
    """For programs: a document that is JSON already, in a line. Indented, one that is nested deeply
    could become a thousand times as large. Raises `ValueError` for what is none after all."""
    import msgspec

    print(harmless_json(msgspec.json.format(text, indent=0).decode(errors="replace")))


def note(text: object = "") -> None:
    """For people, on stderr: beside what a program may read."""
    print(harmless_lines(text), file=sys.stderr, flush=True)


def bars() -> Bars:
    from rich.console import Console

    from supervisor.cli.console import Bars

    return Bars(Console(stderr=True))


def warn(warnings: list[str]) -> None:
    """In a frame of its own on stderr, since one line is lost among the log's first hundred."""
    for warning in warnings:
        note(f"\n{'!' * 72}\nedge-serve: WARNING: {warning}\n{'!' * 72}\n")


def failures(failed: dict[str, str]) -> None:
    for name, reason in failed.items():
        note(f"edge-serve: {name}: {reason}")


def problem(message: object) -> None:
    note(f"edge-serve: {message}")


def fail(*messages: str) -> NoReturn:
    for message in messages:
        problem(message)
    raise typer.Exit(1)
