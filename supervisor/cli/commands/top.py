"""What a running server does, as it does it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Host, Json, Port, Url
from supervisor.cli.commands.running import running

if TYPE_CHECKING:
    from supervisor.cli.top.look import Looker

# What does not answer in this time is not waited for: the screen says so, and asks again.
TIMEOUT_S = 5.0
# Workers tell their counts each second.
RATE_S = 1.5


def top(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Show it once and end, as in a pipe.")
    ] = False,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.2, max=60, help="Between two looks.")
    ] = 1.0,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Show what a running edge-serve does: the machine, its models, requests, last events.

    Drawn again each second until q or Ctrl-C. Requests and events are for operators. --json prints
    one document.
    """
    from supervisor.cli.top.look import Looker

    watched = not once and not json and sys.stdout.isatty() and sys.stdin.isatty()
    with running(context, url, host, port, TIMEOUT_S) as (client, where):
        looker = Looker(client, where)
        if watched:
            _watch(looker, where, interval)
            return
        told = _look_once(looker)
    if json:
        output.as_json(told)
        return
    from supervisor.cli.top.frame import Size, frame

    console = output.console()
    for line in frame(told, Size(console.width)):
        console.print(line, no_wrap=True, crop=False, overflow="ignore")


def _look_once(looker: Looker) -> dict[str, Any]:
    """A server that works is looked at twice, since it takes two counts to tell how fast."""
    told = looker.look()
    if any((model.get("queue") or {}).get("in_flight") for model in told["models"]):
        time.sleep(RATE_S)
        told = looker.look()
    return told


def _watch(looker: Looker, where: str, interval_s: float) -> None:
    """Until somebody has seen enough. A server that is away is waited for."""
    from supervisor.cli.client import Unreached
    from supervisor.cli.top.frame import frame
    from supervisor.cli.top.screen import screen

    told: dict[str, Any] = {"url": where}
    with screen() as drawn:
        goes_on = True
        while goes_on:
            began_at, trouble = time.monotonic(), ""
            try:
                told = looker.look()
            except Unreached as error:
                trouble = str(error)
            drawn.draw(frame(told, drawn.size, trouble))
            goes_on = drawn.wait(max(0.0, began_at + interval_s - time.monotonic()) or 0.05)
