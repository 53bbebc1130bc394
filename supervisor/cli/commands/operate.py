"""Commands that look after a running server: its models, its processes' lines, what happens to it.

They need an API key with the role admin in EDGE_SERVE_API_KEY where the server has keys; without
keys they must run on its machine.
"""

from __future__ import annotations

from json import dumps
from typing import Annotated, Any
from urllib.parse import quote

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Host, Json, Port, Url
from supervisor.cli.commands.running import running
from supervisor.cli.event_line import event_line

# A load that is waited for, which the server ends at ten minutes; a silence between two events.
WAIT_S = 630.0

Model = Annotated[str, typer.Argument(metavar="MODEL")]
Follow = Annotated[
    bool, typer.Option("-f", "--follow", help="Go on with what comes, until Ctrl-C.")
]


def ps(
    context: typer.Context,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Show the models of a running edge-serve: which are in memory, for how long, what waits."""
    from supervisor.cli import answers
    from supervisor.cli.client import ask

    with running(context, url, host, port, WAIT_S) as (client, where):
        models = ask(client, "/admin/models", answers.Models)["models"]
    if json:
        output.as_json({"url": where, "models": models})
        return
    from supervisor.cli import resident_table
    from supervisor.cli.table import show

    show(output.console(), resident_table.COLUMNS, list(resident_table.rows(models)), "why")


def load(
    context: typer.Context,
    model: Model,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is ready.")] = False,
    pin: Annotated[
        bool, typer.Option("--pin", help="Let no other model take its place in memory.")
    ] = False,
    keep: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=-1, help="How long it stays without work; -1 for ever."
        ),
    ] = None,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Have a model of a running edge-serve loaded. Exits 1 if it cannot be."""
    from supervisor.cli import answers
    from supervisor.cli.client import ask

    wish: dict[str, Any] = {"wait": wait}
    if pin:
        wish["pin"] = True
    if keep is not None:
        wish["keep_alive_s"] = keep
    with running(context, url, host, port, WAIT_S) as (client, where):
        told = ask(client, f"/admin/models/{quote(model)}/load", answers.Model, wish)
    _tell(told, where, json)
    if wait and told["state"] != "ready":
        raise typer.Exit(1)


def unload(
    context: typer.Context,
    model: Model,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also while it has work, once it has finished that in hand."),
    ] = False,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Have a model of a running edge-serve leave memory; it comes back when somebody asks for it.

    Exits 1 if it may not, as while it has work.
    """
    from supervisor.cli import answers
    from supervisor.cli.client import ask

    with running(context, url, host, port, WAIT_S) as (client, where):
        path = f"/admin/models/{quote(model)}/unload"
        told = ask(client, path, answers.Model, {"force": force})
    _tell(told, where, json)


def logs(
    context: typer.Context,
    process: Annotated[
        str,
        typer.Argument(
            metavar="PROCESS", help="supervisor, frontend, a model, or one of its workers."
        ),
    ] = "supervisor",
    tail: Annotated[
        int, typer.Option("-n", "--tail", min=0, max=1000, help="How many of the last lines.")
    ] = 200,
    follow: Follow = False,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Show what a process of a running edge-serve has said last."""
    from supervisor.cli import answers
    from supervisor.cli.client import events, lines

    query: dict[str, str | int] = {"tail": tail, "follow": "true" if follow else "false"}
    with running(context, url, host, port, WAIT_S) as (client, where):
        path = f"/admin/logs/{quote(process, safe='')}"
        if follow:
            for told in events(client, path, answers.LogLine, **query):
                _print(told, told["line"], json)
        elif json:
            found = list(lines(client, path, **query))
            output.as_json({"url": where, "process": process, "lines": found})
        elif said := list(lines(client, path, **query)):
            output.say("\n".join(said))
        else:
            output.note(f"{process} has said nothing yet")


def events(
    context: typer.Context,
    follow: Follow = False,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Show what has happened to a running edge-serve: loads, crashes, full queues."""
    from supervisor.cli import answers
    from supervisor.cli.client import events as told_by

    query: dict[str, str | int] = {"follow": "true" if follow else "false"}
    with running(context, url, host, port, WAIT_S) as (client, where):
        found = told_by(client, "/admin/events", answers.Event, **query)
        if json and not follow:
            output.as_json({"url": where, "events": list(found)})
            return
        for told in found:
            _print(told, event_line(told), json)


def _tell(model: dict[str, Any], where: str, json: bool) -> None:
    if json:
        output.as_json({"url": where, **model})
    else:
        why = f": {model['last_error']}" if model.get("last_error") else ""
        output.say(f"{model['id']}: {model['state']}{why}")


def _print(told: dict[str, Any], line: str, json: bool) -> None:
    if json:
        output.json_line(dumps(told))
    else:
        output.say(line)
