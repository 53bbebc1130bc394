"""`edge-serve usage`: who has used which model of a running server, and how much."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Host, Json, Port, Url
from supervisor.cli.commands.running import running

TIMEOUT_S = 30.0
_NAMES = ("day", "key", "model", "outcome")
# Each with how soon it is left out where there is no room.
_SUMS = (
    *(("requests", 0), ("failed", 2), ("prompt_tokens", 0), ("cached_tokens", 2)),
    *(("completion_tokens", 0), ("audio_s", 1), ("texts", 1), ("work_s", 1)),
)


def usage(
    context: typer.Context,
    by: Annotated[
        str,
        typer.Option(metavar="WHAT,...", help=f"A row for each {', '.join(_NAMES)}."),
    ] = "key",
    days: Annotated[
        int, typer.Option(min=1, max=3650, help="Of UTC, today being the last; 90 are kept.")
    ] = 30,
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="From this day on, as 2026-11-01.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DAY", help="Before this day, as 2026-12-01.")
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="NAME", help="Of this key alone.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="For tables: print CSV.")] = False,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Show who has used which model of a running edge-serve, and how much."""
    from supervisor.cli.answers import Usage
    from supervisor.cli.client import ask, lines

    query: dict[str, str | int] = {"by": by, "days": days}
    query |= {
        name: value
        for name, value in (("since", since), ("until", until), ("key", key))
        if value is not None
    }
    with running(context, url, host, port, TIMEOUT_S) as (client, where):
        if csv:
            for line in lines(client, "/admin/usage", **query, format="csv"):
                output.say(line)
            return
        told = ask(client, f"/admin/usage?{urlencode(query)}", Usage)
    if json:
        output.as_json({"url": where, **told})
        return
    _show(told)


def _show(told: dict[str, Any]) -> None:
    from supervisor.cli.table import Column, Row, show

    first, *rest = told["by"]
    columns = [Column(first), *(Column(name) for name in rest)]
    columns += [Column(name.replace("_", " "), rank, right=True) for name, rank in _SUMS]
    rows = []
    for row in told["rows"]:
        names = [row.get(name) or "-" for name in told["by"]]
        cells = [f"{row[name]:g}" if row.get(name) else "" for name, _ in _SUMS]
        rows.append(Row(names[0], (*names[1:], *cells)))
    show(output.console(), columns, rows)
