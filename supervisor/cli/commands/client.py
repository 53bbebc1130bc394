"""Commands to a running server. They send EDGE_SERVE_API_KEY as the API key where it is set."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Host, Json, Port, Url, joined
from supervisor.cli.commands.load_settings import load_settings

if TYPE_CHECKING:
    from httpx2 import Client
    from rich.console import Console

    from supervisor.cli.fleet_table import Health, Rates
    from supervisor.cli.smoke import Check

# A first chat of a large model on a small box; the server's own limits end it sooner.
SMOKE_TIMEOUT_S = 600.0
# Workers tell their counts each second.
RATE_S = 1.5
WATCH_S = 1.0


def status(
    context: typer.Context,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew each second.")] = False,
    json: Json = False,
) -> None:
    """Show the processes of a running edge-serve.

    Exits 0 when all models are ready, else 1. Sends EDGE_SERVE_API_KEY as the API key where it is
    set, and trusts the certificate in SSL_CERTFILE.
    """
    from supervisor.cli.client import Unreached, connect
    from supervisor.config.settings import Flags

    settings = load_settings(Flags(host=host, port=port).over(context.obj))
    base = url or settings.url
    try:
        with connect(settings, url, timeout_s=10) as client:
            if watch:
                _watch(client, base, json)
            report = _report(client)
            if json:
                output.as_json({"url": base, **report})
            else:
                _show(output.console(), base, report, _rates(client, report))
    except Unreached as error:
        output.fail(str(error))
    raise typer.Exit(0 if report.get("status") == "ok" else 1)


def _report(client: Client) -> Health:
    from supervisor.cli.answers import Health
    from supervisor.cli.client import ask

    return ask(client, "/health", Health)


def _rates(client: Client, report: Health) -> Rates:
    """Tokens a second, for which a working server is asked twice."""
    from supervisor.cli import fleet_table

    counted = fleet_table.tokens(report)
    replicas = [one for model in report["models"] for one in model.get("replicas") or []]
    if not any(one.get("in_flight") for one in replicas):
        return dict.fromkeys(counted, 0.0)
    time.sleep(RATE_S)
    return fleet_table.rates(counted, fleet_table.tokens(_report(client)), RATE_S)


def _watch(client: Client, base: str, json: bool) -> NoReturn:
    """Show it again and again, until Ctrl-C; as JSON, a document on each line."""
    from supervisor.cli import fleet_table
    from supervisor.cli.client import Unreached

    console = output.console()
    before: tuple[float, dict[int, int]] = (0.0, {})
    while True:
        began_at = time.monotonic()
        try:
            report = _report(client)
        except Unreached as error:
            report = {"status": "unreachable", "models": [], "error": str(error)}
        counted = (began_at, fleet_table.tokens(report))
        rates = fleet_table.rates(before[1], counted[1], counted[0] - before[0])
        if json:
            output.json_line(dumps({"url": base, **report}))
        else:
            with console.capture() as frame:
                _show(console, base, report, rates)
            console.clear()
            console.out(frame.get(), end="", highlight=False)
        before = counted
        time.sleep(WATCH_S)


def _show(console: Console, base: str, report: Health, rates: Rates) -> None:
    from supervisor.cli import fleet_table
    from supervisor.cli.harmless import harmless
    from supervisor.cli.table import show

    up_s = (report.get("supervisor") or {}).get("uptime_s")
    up = "" if up_s is None else f", up {fleet_table.duration(up_s)}"
    print_line = partial(console.print, highlight=False, soft_wrap=True, markup=False)
    print_line(harmless(f"{base}: {report.get('status')}{up}"))
    if error := report.get("error"):
        print_line(harmless(error))
        return
    show(console, fleet_table.COLUMNS, list(fleet_table.rows(report, rates)), "why")


def smoke(
    context: typer.Context,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models", metavar="NAME,...", help="Which to try; repeatable. All if not set."
        ),
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A recording for speech models; a spoken sentence if not set."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Try everything that a running server's models can do.

    Sends one real request for each. Exits 0 when all are answered, else 1. Sends EDGE_SERVE_API_KEY
    as the API key where it is set, and trusts the certificate in SSL_CERTFILE.
    """
    from supervisor.cli.client import Unreached, connect
    from supervisor.cli.smoke import checks
    from supervisor.config.settings import Flags

    settings = load_settings(Flags(host=host, port=port).over(context.obj))
    names = [name.strip() for name in (joined(models) or "").split(",") if name.strip()]
    try:
        recording = audio.read_bytes() if audio else None
    except OSError as error:
        output.fail(f"--audio: {audio} cannot be read: {error.strerror}")
    try:
        with connect(settings, url, timeout_s=SMOKE_TIMEOUT_S) as client:
            found = list(checks(client, names, recording))
    except Unreached as error:
        output.fail(str(error))
    ok = bool(found) and all(one.ok for one in found)
    if json:
        output.as_json({"ok": ok, "checks": [one._asdict() for one in found]})
    else:
        _show_checks(found)
    raise typer.Exit(0 if ok else 1)


def _show_checks(found: Sequence[Check]) -> None:
    from supervisor.cli.table import Column, Row, show

    columns = (
        Column("model"),
        Column("capability"),
        Column(""),
        Column("seconds", right=True),
    )
    rows = [
        Row(
            one.model,
            (one.capability, "ok" if one.ok else "FAILED", f"{one.seconds:.2f}"),
            one.answer,
        )
        for one in found
    ]
    show(output.console(), columns, rows, "answer")


def bench(context: typer.Context) -> None:
    """Measure a running server under load, or this machine."""
    _become_bench(context, *context.args)


def replay(context: typer.Context) -> None:
    """Make the load of the minutes before an incident again, from its file."""
    _become_bench(context, "replay", *context.args)


def _become_bench(context: typer.Context, *args: str) -> NoReturn:
    # A process of its own: what it loads to measure and to draw is nothing for the supervisor's.
    argv = [sys.executable, "-P", "-m", "bench", *args]
    os.execve(sys.executable, argv, {**os.environ, **context.obj.variables()})
