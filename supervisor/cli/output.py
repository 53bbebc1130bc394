"""What commands say: on a terminal as wide as it is, of problems on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from supervisor.cli.console import Bars


def console() -> Console:
    from rich.console import Console

    # Piped output has no width of its own; folding it at 80 columns would break names apart.
    return Console(width=None if sys.stdout.isatty() else 200)


def as_json(document: Any) -> None:
    """For programs: one document on stdout."""
    print(json.dumps(document, ensure_ascii=False, indent=2))


def bars() -> Bars:
    from rich.console import Console

    from supervisor.cli.console import Bars

    return Bars(Console(stderr=True))


def warn(warnings: list[str]) -> None:
    """In a frame of its own on stderr, since one line is lost among the log's first hundred."""
    for warning in warnings:
        print(f"\n{'!' * 72}\nedge-serve: WARNING: {warning}\n{'!' * 72}\n", file=sys.stderr)


def failures(failed: dict[str, str]) -> None:
    for name, reason in failed.items():
        print(f"edge-serve: {name}: {reason}", file=sys.stderr)


def fail(*messages: str) -> NoReturn:
    for message in messages:
        print(f"edge-serve: {message}", file=sys.stderr)
    raise typer.Exit(1)
