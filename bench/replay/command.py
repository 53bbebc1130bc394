"""``edge-serve replay FILE``: the load of an incident's minutes, made again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.load.server import Server, Unanswered
from bench.replay.bodies import Bodies, most_bytes
from bench.replay.calibrate import Tokenizers
from bench.replay.compare import Side, compared
from bench.replay.material import Words
from bench.replay.play import Player
from bench.replay.recording import Outcome, Recorded, Recording, read
from bench.terminal import plain_app
from supervisor.cli import output
from supervisor.cli.client import way
from supervisor.cli.harmless import harmless
from supervisor.config.dotenv_file import load_dotenv
from supervisor.config.errors import EXIT_CONFIG, ConfigError
from supervisor.config.settings import DOTENV, Flags, load

TIMEOUT_S = 600.0
MOST_BYTES = 2 << 30  # of all requests, which are made before the first is sent
_PIPED_COLUMNS = 160

app = plain_app()


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Of an incident.", exists=True, dir_okay=False)],
    url: Annotated[
        str | None, typer.Option(help="Of the server; the local one if not set.")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.01, max=1000, help="2: twice as fast as they came.")
    ] = 1.0,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="THEN=NOW", help="Another name of a model; repeatable."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs: print JSON.")] = False,
) -> None:
    """Send requests like those of the minutes before an incident, when and as they came, and show
    what comes of them beside what came then.

    Prompts, images and recordings are of the same size and made up: the file has none. Sends
    EDGE_SERVE_API_KEY as the API key where it is set. Exits 1 if none is answered.
    """
    recording = read(file)
    names = dict(_pair(one) for one in model or ())
    if not recording.requests:
        raise Unanswered(f"{file} has no requests that could be made again")
    if (size := sum(map(most_bytes, recording.requests))) > MOST_BYTES:
        raise ConfigError(
            f"{file}: its requests would be {size >> 20} MiB, more than the {MOST_BYTES >> 20} MiB "
            "that are made again"
        )
    console = Console(stderr=json, width=None if sys.stdout.isatty() else _PIPED_COLUMNS)
    told = harmless(recording.told)
    console.print(told, highlight=False, soft_wrap=True, markup=False)
    lasts_s = recording.requests[-1].after_s / speed
    left_out = f", {recording.left_out} left out" if recording.left_out else ""
    said = f"{len(recording.requests)} requests in {lasts_s:.0f} s{left_out}"
    console.print(said, highlight=False)
    outcomes = uvloop.run(_play(recording.requests, names, url, speed))
    if json:
        output.as_json(_report(recording, outcomes, speed))
    else:
        console.print(_table(recording.requests, outcomes))
    raise typer.Exit(0 if any(one.ended == "ok" for one in outcomes) else 1)


def _pair(words: str) -> tuple[str, str]:
    then, found, now = words.partition("=")
    if not (then and found and now):
        raise ConfigError(f"--model: {words!r} is not THEN=NOW, two names of models")
    return then, now


async def _play(
    requests: list[Recorded], names: dict[str, str], url: str | None, speed: float
) -> list[Outcome]:
    """Raises `Unanswered` where there is no server, or it lacks a model."""
    reach = way(load(Flags()), url, TIMEOUT_S)
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(**reach, limits=limits) as client:
        wanted = {names.get(one.model, one.model) for one in requests}
        served = {one["id"] for one in await Server(client, TIMEOUT_S).models()}
        if missing := sorted(wanted - served):
            raise Unanswered(
                f"the server has no {', '.join(missing)}; name another with --model THEN=NOW, of "
                f"{', '.join(sorted(served))}"
            )
        words, tokenizers = Words(), Tokenizers()
        await tokenizers.ask(client, wanted, words)
        made = Bodies(names, tokenizers.words_for, words)
        bodies = [made.request(one) for one in requests]
        return await Player(client, TIMEOUT_S).play(requests, bodies, speed)


def _report(recording: Recording, outcomes: list[Outcome], speed: float) -> dict[str, Any]:
    kinds = [
        {"model": kind.model, "task": kind.task, "stream": kind.streams}
        | {"then": then.report(), "now": now.report()}
        for kind, then, now in compared(recording.requests, outcomes)
    ]
    return {
        "told": recording.told,
        "speed": speed,
        "left_out": recording.left_out,
        "kinds": kinds,
    }


def _table(requests: list[Recorded], outcomes: list[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("requests", "", "ended", "first s", "whole s", "tokens"):
        table.add_column(head, justify="right" if head[-1:] == "s" and " " in head else "left")
    for kind, then, now in compared(requests, outcomes):
        table.add_row(Text(harmless(f"{then.count} {kind}")), *_cells("then", then))
        table.add_row("", *_cells("now", now))
    return table


def _cells(when: str, side: Side) -> tuple[str | Text, ...]:
    ended = ", ".join(f"{count} {name}" for name, count in side.ended.most_common())
    times = ("-" if one is None else f"{one:.2f}" for one in (side.first_s, side.total_s))
    return when, Text(harmless(ended)), *times, str(side.tokens or "-")


def main(argv: list[str]) -> None:
    """Run the command with ``argv``, and exit."""
    try:
        load_dotenv(Path(DOTENV))
        app(argv, prog_name="edge-serve replay")
    except ConfigError as error:
        output.note(f"edge-serve replay: {error}")
        sys.exit(EXIT_CONFIG)
    except (Unanswered, httpx2.InvalidURL) as error:
        output.note(f"edge-serve replay: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
