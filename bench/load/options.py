"""The options that all commands of the load generator have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.load.ladder import Limit

CONCURRENCY = "1,2,4,8,16"
SECONDS = 10.0
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


@dataclass(frozen=True)
class Common:
    """What every command is told of its requests and of where its figures go."""

    url: Annotated[
        str | None,
        typer.Option(
            "--url", "--base-url", envvar="BASE_URL", help="The server; HOST and PORT if not set."
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "--models",
            "--model-name",
            envvar="MODEL_NAME",
            metavar="NAME,...",
            help="One after the other; the server's first of the kind if not set.",
        ),
    ] = None
    concurrency: Annotated[
        str,
        typer.Option(
            envvar="CONCURRENCY",
            metavar="N,...",
            callback=_levels,
            help="The levels: how many clients at once.",
        ),
    ] = CONCURRENCY
    requests: Annotated[
        int | None,
        typer.Option(
            "--requests",
            "--n-requests",
            envvar="N_REQUESTS",
            min=1,
            help="Requests of each level, at least one for each client; not bounded if not set.",
        ),
    ] = None
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help=f"How long each level begins requests; {SECONDS:.0f} if --requests is not set.",
        ),
    ] = None
    warmup: Annotated[
        int, typer.Option(min=0, help="Requests before the first level that do not count.")
    ] = 2
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds after which a request counts as failed.")
    ] = 600.0
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", callback=_writable, help="Write all figures here."),
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE", callback=_drawable, help="Draw them here, as .png or .svg."
        ),
    ] = None

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


def with_common(command: Callable[..., None]) -> Callable[..., None]:
    """``command``, which takes a `Common` at last, as typer shall see it: with the options that a
    `Common` is made of."""
    *own, _ = signature(command, eval_str=True).parameters.values()
    shared = signature(Common, eval_str=True).parameters

    @wraps(command)
    def run(**given: Any) -> None:
        common = Common(**{name: given.pop(name) for name in shared})
        command(**given, common=common)

    options = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in (*own, *shared.values())]
    run.__signature__ = Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in options}
    return run
