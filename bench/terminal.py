"""How the measurements look in a terminal."""

from __future__ import annotations

import typer


def plain_app() -> typer.Typer:
    """An app for the commands of one module: help without boxes, tracebacks as Python's own."""
    return typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
