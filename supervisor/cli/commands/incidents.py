"""What has gone wrong: the files of a running server, or one that somebody has sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Host, Json, Port, Url
from supervisor.cli.commands.running import running

if TYPE_CHECKING:
    from httpx2 import Client

TIMEOUT_S = 30.0


def incidents(
    context: typer.Context,
    incident: Annotated[
        str | None, typer.Argument(metavar="ID|FILE", help="One of them, or the last one: `last`.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write its file there.", dir_okay=False)
    ] = None,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Show the crashes, hangs and overloads of a running edge-serve, or all that is known of one.

    A file holds the shapes and times of the requests before it, never what they said: it may be
    passed on, and `replay` makes the same load again.
    """
    if incident is not None and (file := Path(incident)).is_file():
        _show(_read(file), incident, save, json)
        return
    with running(context, url, host, port, TIMEOUT_S) as (client, where):
        if incident is None:
            _list(client, where, json)
            return
        data = _data(client, incident)
    _show(data, incident, save, json)


def _read(file: Path) -> bytes:
    from supervisor.cli.incident import file as incident_file

    try:
        return incident_file.load(file)
    except OSError as error:
        output.fail(f"{file} cannot be read: {error.strerror or error}")


def _list(client: Client, where: str, json: bool) -> None:
    from supervisor.cli.answers import Incidents
    from supervisor.cli.client import ask

    found = ask(client, "/admin/incidents", Incidents)["incidents"]
    if json:
        output.as_json({"url": where, "incidents": found})
    elif not found:
        output.say("nothing has gone wrong")
    else:
        from supervisor.cli.incident import report
        from supervisor.cli.table import show

        rows = list(report.rows(found))
        show(output.console(), report.COLUMNS, rows, "what happened")


def _data(client: Client, incident: str) -> bytes:
    """The bytes of its file. Raises `Unreached`."""
    from urllib.parse import quote

    from supervisor.cli.answers import Incidents
    from supervisor.cli.client import Unreached, ask, file
    from supervisor.cli.incident import file as incident_file

    if incident == "last":
        found = ask(client, "/admin/incidents", Incidents)["incidents"]
        if not found:
            raise Unreached("nothing has gone wrong")
        incident = found[0]["id"]
    path = f"/admin/incidents/{quote(incident, safe='')}"
    return file(client, path, incident_file.MOST_BYTES)


def _show(data: bytes, name: str, save: Path | None, json: bool) -> None:
    from supervisor.cli.incident import file as incident_file
    from supervisor.cli.incident import report

    try:
        told = incident_file.read(data)
        if json:
            output.as_written_json(incident_file.text(data))
    except (incident_file.NoIncident, ValueError) as error:
        output.fail(f"{name} is no file of an incident, or is broken: {error}")
    if save is not None:
        try:
            save.write_bytes(data)
        except OSError as error:
            output.fail(f"--save: {save} cannot be written: {error.strerror}")
    if not json:
        for line in report.lines(told):
            output.say(line)
