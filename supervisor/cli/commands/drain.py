"""Whether models of a running server take work. They send EDGE_SERVE_API_KEY, which needs the role
admin where the server has keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Host, Json, Port, Url
from supervisor.cli.commands.running import running

TIMEOUT_S = 30.0

Model = Annotated[
    str | None, typer.Argument(metavar="[MODEL]", help="By its name or an alias, or --all.")
]
All = Annotated[bool, typer.Option("--all", help="Every model that the server has now.")]


def drain(
    context: typer.Context,
    model: Model = None,
    everything: All = False,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Have a model of a running edge-serve take no new requests, until resume or its end.

    What it was asked before goes on. Its clients are told when to come again.
    """
    wish = {"end": False} if everything else {}
    _ask(context, "drain", wish, model, everything, url, host, port, json)


def resume(
    context: typer.Context,
    model: Model = None,
    everything: All = False,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Have a model that was drained take requests again."""
    _ask(context, "resume", {}, model, everything, url, host, port, json)


def _ask(
    context: typer.Context,
    act: Literal["drain", "resume"],
    wish: dict[str, Any],
    model: str | None,
    everything: bool,
    url: str | None,
    host: str | None,
    port: str | None,
    json: bool,
) -> None:
    from supervisor.cli.answers import Model, Models
    from supervisor.cli.client import ask

    if (model is None) is not everything:
        output.fail(f"{act}: name one model, or all by --all")
    with running(context, url, host, port, TIMEOUT_S) as (client, where):
        if model is None:
            models = ask(client, f"/admin/{act}", Models, wish)["models"]
        else:
            models = [ask(client, f"/admin/models/{quote(model)}/{act}", Model, wish)]
    if json:
        output.as_json({"url": where, "models": models})
        return
    for one in models:
        stands = "takes nothing new" if one.get("drained") else "takes requests"
        output.say(f"{one['id']}: {one['state']}, {stands}")
