"""Stopping a running server."""

from __future__ import annotations

from typing import Annotated

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Json, Port
from supervisor.cli.commands.load_settings import load_settings

# Beyond the drain: what is left ends with an error then, and every process has a second or two.
_MARGIN_S = 30.0


def stop(
    context: typer.Context,
    port: Port = None,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="How long to wait; DRAIN_TIMEOUT_SEC + 30 if not set."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Stop a running edge-serve once its answers are finished.

    It is the one of this user on --port. Exits 0 when it has ended or none was running, 1 when it
    has not ended in time. A second stop ends unfinished answers at once.
    """
    from supervisor.cli.stop import NotStopped
    from supervisor.cli.stop import stop as end
    from supervisor.config.settings import Flags
    from supervisor.launch.run_folder import run_dir_of

    settings = load_settings(Flags(port=port).over(context.obj))
    wait_s = settings.drain_timeout_sec + _MARGIN_S if wait is None else wait
    try:
        pid = end(run_dir_of(settings), wait_s)
    except NotStopped as error:
        output.fail(str(error))
    where = f"port {settings.port}"
    if json:
        output.as_json({"stopped": pid is not None, "pid": pid, "port": settings.port})
    elif pid is None:
        output.say(
            f"no edge-serve of this user runs on {where} (a service: systemctl stop edge-serve)"
        )
    else:
        output.say(f"edge-serve on {where} has stopped (process {pid})")
