"""Another configuration for a running server. They send EDGE_SERVE_API_KEY, which needs the role
admin where the server has keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Host, Json, Port, Url
from supervisor.cli.commands.running import running

# The server gives up reading its files before.
TIMEOUT_S = 180.0

Downtime = Annotated[
    bool,
    typer.Option(
        "--allow-downtime",
        help="A model without room for its old and its new workers may be away meanwhile.",
    ),
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="By its name in the catalog.")]


def reload(
    context: typer.Context,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
    allow_downtime: Downtime = False,
    json: Json = False,
) -> None:
    """Have a running edge-serve read its catalog, .env and keys again.

    It takes over what has changed and restarts nothing else. Exits 1 where the files are wrong, or
    something is left as it was; a wrong file changes nothing.
    """
    from supervisor.cli.answers import Reloaded
    from supervisor.cli.client import ask

    asked = {"dry_run": dry_run, "allow_downtime": allow_downtime}
    with running(context, url, host, port, TIMEOUT_S) as (client, _):
        report = ask(client, "/admin/reload", Reloaded, asked)
    _show(report, json)


def update(
    context: typer.Context,
    model: Model,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    allow_downtime: Downtime = False,
    json: Json = False,
) -> None:
    """Have a running edge-serve take over what has changed of one model.

    New workers are loaded beside the old ones, which are kept for a while: see rollback.
    """
    from supervisor.cli.answers import Reloaded
    from supervisor.cli.client import ask

    asked = {"allow_downtime": allow_downtime}
    with running(context, url, host, port, TIMEOUT_S) as (client, _):
        report = ask(client, f"/admin/models/{quote(model)}/update", Reloaded, asked)
    _show(report, json)


def rollback(
    context: typer.Context,
    model: Model,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Have a running edge-serve serve a model as before its last update."""
    from supervisor.cli.answers import RolledBack
    from supervisor.cli.client import ask

    with running(context, url, host, port, TIMEOUT_S) as (client, _):
        report = ask(client, f"/admin/models/{quote(model)}/rollback", RolledBack, {})
    if json:
        output.as_json(report)
    else:
        output.say(f"{model} is served as before")


def _show(report: dict[str, Any], json: bool) -> None:
    if json:
        output.as_json(report)
    else:
        for line in lines(report):
            output.say(line)
    raise typer.Exit(1 if report["left"] or report["restart"] else 0)


def lines(report: dict[str, Any]) -> Iterator[str]:
    """What a reload has changed, or would, for people."""
    for warning in report["warnings"]:
        yield f"warning: {warning}"
    for name in report["added"]:
        yield f"{name}: joins"
    for name in report["removed"]:
        yield f"{name}: leaves once its requests are answered"
    for name, keys in report["updated"].items():
        yield f"{name}: {_updated(name, report)} ({', '.join(keys)})"
    for name, keys in report["adjusted"].items():
        yield f"{name}: changes without a restart ({', '.join(keys)})"
    for name in report["fetched"]:
        yield f"{name}: its files are fetched first"
    if report["settings"]:
        yield f"takes effect at once: {', '.join(report['settings'])}"
    if report["restart"]:
        yield f"needs a restart, and stays as it was: {', '.join(report['restart'])}"
    changed = ("added", "removed", "updated", "adjusted", "fetched", "settings", "restart")
    if not any(report[key] for key in changed):
        yield "nothing has changed"


def _updated(name: str, report: dict[str, Any]) -> str:
    if name in report["left"]:
        return "stays as it is, there is no room for two of it; --allow-downtime replaces it"
    if name in report["downtime"]:
        return "is replaced, and away meanwhile"
    return "is updated, new workers load beside the old ones"
