"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--models",
        metavar="NAME,...",
        help="Which models to serve; repeatable. Those of the catalog's list `serve` if not set.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="Where all of them run: auto, cpu, mps, cuda or cuda:<n>; auto if not set.",
    ),
]
Host = Annotated[
    str | None,
    typer.Option(
        "--host",
        metavar="ADDRESS",
        help="Where to listen; 127.0.0.1, which is this machine alone, if not set.",
    ),
]
Port = Annotated[
    str | None, typer.Option("--port", metavar="PORT", help="Where to listen; 8000 if not set.")
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Models of your own, in YAML as configs/model_config.yaml.",
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Of a running edge-serve; the one that HOST, PORT and SSL_CERTFILE make if not set.",
    ),
]


Progress = Annotated[
    str,
    typer.Option(
        metavar="FORM", help="auto: bars on a terminal, else lines; json: a document a line."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="For programs: print JSON.")]


def joined(names: list[str] | None) -> str | None:
    """What all the times that an option was given say together."""
    return ",".join(names) if names else None
