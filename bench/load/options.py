"""The options that all four commands have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bench.load.ladder import Limit

CONCURRENCY = "1,2,4,8,16"
SECONDS = 10.0
WARMUP = 2
TIMEOUT_S = 600.0
SUFFIXES = (".png", ".svg")


def _writable(file: Path | None) -> Path | None:
    """A mistake shows before anything is measured."""
    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise typer.BadParameter(f"{file} is no file in a folder that exists")
    return file


def _drawable(file: Path | None) -> Path | None:
    if file is not None and file.suffix.lower() not in SUFFIXES:
        raise typer.BadParameter(f"name a file that ends in {' or '.join(SUFFIXES)}")
    return _writable(file)


def _levels(text: str) -> str:
    if not text or not all(part.isdecimal() and int(part) for part in text.split(",")):
        raise typer.BadParameter(f"{text!r}: write numbers of clients, such as {CONCURRENCY}")
    return text


Url = Annotated[
    str | None,
    typer.Option(
        "--url", "--base-url", envvar="BASE_URL", help="The server; HOST and PORT if not set."
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "--models",
        "--model-name",
        envvar="MODEL_NAME",
        metavar="NAME,...",
        help="One after the other; the server's first of the kind if not set.",
    ),
]
Concurrency = Annotated[
    str,
    typer.Option(
        envvar="CONCURRENCY",
        metavar="N,...",
        callback=_levels,
        help="The levels: how many clients at once.",
    ),
]
Requests = Annotated[
    int | None,
    typer.Option(
        "--requests",
        "--n-requests",
        envvar="N_REQUESTS",
        min=1,
        help="Requests of each level, at least one for each client; not bounded if not set.",
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        help=f"How long each level begins requests; {SECONDS:.0f} if --requests is not set.",
    ),
]
Warmup = Annotated[
    int, typer.Option(min=0, help="Requests before the first level that do not count.")
]
Timeout = Annotated[
    float, typer.Option(min=0.001, help="Seconds after which a request counts as failed.")
]
Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", callback=_writable, help="Write all figures here."),
]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="FILE", callback=_drawable, help="Draw them here, as .png or .svg."
    ),
]


@dataclass(frozen=True)
class Common:
    """What they were given."""

    url: str | None
    model: str | None
    concurrency: str
    requests: int | None
    seconds: float | None
    warmup: int
    timeout: float
    json: Path | None
    plot: Path | None

    @property
    def base_url(self) -> str | None:
        """Without the /v1 that SDKs want in it."""
        return None if self.url is None else self.url.rstrip("/").removesuffix("/v1")

    @property
    def models(self) -> list[str]:
        """None are named where the server is to choose."""
        return [name.strip() for name in (self.model or "").split(",") if name.strip()]

    @property
    def levels(self) -> list[int]:
        return [int(part) for part in self.concurrency.split(",")]

    @property
    def limit(self) -> Limit:
        bounded = self.requests is not None or self.seconds is not None
        return Limit(self.requests, self.seconds if bounded else SECONDS)
