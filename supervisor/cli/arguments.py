"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Models = Annotated[
    str | None, typer.Option("--models", metavar="NAME,...", help="Which models to serve.")
]
Device = Annotated[
    str | None,
    typer.Option("--device", metavar="DEVICE", help="auto, cpu, mps, cuda or cuda:<n>."),
]
Host = Annotated[str | None, typer.Option("--host", help="Where to listen; 127.0.0.1 if not set.")]
Port = Annotated[str | None, typer.Option("--port", help="Where to listen; 8000 if not set.")]
Config = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="A model catalog of your own.")
]
Url = Annotated[
    str | None, typer.Option("--url", help="Of a running edge-serve; HOST and PORT if not set.")
]
