"""Commands to a running server. They send EDGE_SERVE_API_KEY as the API key where it is set."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from supervisor.cli import say
from supervisor.cli.arguments import Url, joined
from supervisor.cli.loading import load_settings

# A first chat of a large model on a small box; the server's own limits end it sooner.
SMOKE_TIMEOUT_S = 600.0


def status(context: typer.Context, url: Url = None) -> None:
    """Show the processes of a running edge-serve.

    Exits 0 when all models are ready, else 1. Sends EDGE_SERVE_API_KEY as the API key where it is
    set, and trusts the certificate in SSL_CERTFILE.
    """
    from supervisor.client import Unreached, ask, connect
    from supervisor.console import FLEET_HEADS, fleet_rows, table

    settings = load_settings(context.obj)
    base = url or settings.url
    try:
        with connect(settings, url, timeout_s=10) as client:
            report = ask(client, "/health", "models")
    except Unreached as error:
        say.fail(str(error))
    print(f"{base}: {report.get('status')}")
    table(say.console(), FLEET_HEADS, fleet_rows(report))
    raise typer.Exit(0 if report.get("status") == "ok" else 1)


def smoke(
    context: typer.Context,
    url: Url = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models", metavar="NAME,...", help="Which to try; repeatable. All if not set."
        ),
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A recording for speech models; a tone if not set."),
    ] = None,
) -> None:
    """Try everything that a running server's models can do.

    Sends one real request for each. Exits 0 when all are answered, else 1. Sends EDGE_SERVE_API_KEY
    as the API key where it is set, and trusts the certificate in SSL_CERTFILE.
    """
    from supervisor.client import Unreached, connect
    from supervisor.console import table
    from supervisor.smoke import checks

    settings = load_settings(context.obj)
    names = [name.strip() for name in (joined(models) or "").split(",") if name.strip()]
    try:
        recording = audio.read_bytes() if audio else None
    except OSError as error:
        say.fail(f"--audio: {audio} cannot be read: {error.strerror}")
    try:
        with connect(settings, url, timeout_s=SMOKE_TIMEOUT_S) as client:
            found = list(checks(client, names, recording))
    except Unreached as error:
        say.fail(str(error))
    rows = (
        (one.model, one.capability, "ok" if one.ok else "FAILED", f"{one.seconds:.2f}", one.said)
        for one in found
    )
    table(say.console(), ["model", "capability", "", "seconds", "answer"], rows)
    raise typer.Exit(0 if found and all(one.ok for one in found) else 1)


def bench(context: typer.Context) -> None:
    """Measure a running server under load, or this machine."""
    # A process of its own: what it loads to measure and to draw is nothing for the supervisor's.
    argv = [sys.executable, "-P", "-m", "bench", *context.args]
    os.execve(sys.executable, argv, {**os.environ, **context.obj.variables()})
