"""``bench together``: what several kinds of models give at once, as shares of each alone.

The shares of models that only take turns on the processors add up to 1; what is lost to their
threads being in each other's way is missing from that sum.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, NamedTuple

import httpx2
import typer
import uvloop

from bench.figures import short
from bench.load.audio import Audio
from bench.load.chat import Chat
from bench.load.embeddings import Embeddings
from bench.load.server import Server, Unanswered, Work, choose
from bench.terminal import plain_app
from bench.words import TEXT_WORDS
from supervisor.cli.client import way
from supervisor.config.settings import Flags, load

TIMEOUT_S = 300.0
WARMUP_S = 2.0


class Kind(NamedTuple):
    """One kind of request, so many at a time; ``amount`` is what its answers are counted in."""

    work: Work
    clients: int
    amount: str


app = plain_app()


@app.command()
def together(
    file: Annotated[
        list[Path], typer.Option(help="A recording for speech.", exists=True, dir_okay=False)
    ],
    url: Annotated[
        str | None, typer.Option(help="Of the server; the local one if not set.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Of each measurement.")] = 10.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often; medians are shown.")] = 5,
) -> None:
    """Load a server's chat, embeddings and speech one after the other, then all at once."""
    kinds = {
        "chat": Kind(Chat(None, TEXT_WORDS, 64, 0.0, stream=True), 4, "completion_tokens"),
        "embeddings": Kind(Embeddings(None, TEXT_WORDS, 8), 4, "texts"),
        "speech": Kind(Audio(file, {}), 2, "audio_seconds"),
    }
    try:
        measured = uvloop.run(_measure(url, kinds, seconds, rounds))
    except Unanswered as error:
        typer.echo(f"edge-serve bench: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(table(kinds, measured))


Rates = dict[str, float]


async def _measure(
    url: str | None, kinds: Mapping[str, Kind], seconds: float, rounds: int
) -> list[tuple[Rates, Rates]]:
    """What each kind gave a second, alone and with the others, round by round."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(**way(load(Flags()), url, TIMEOUT_S), limits=limits) as client:
        server = Server(client, TIMEOUT_S)
        listed = await server.models()
        models = {name: choose(listed, kind.work.capability) for name, kind in kinds.items()}

        async def rate(name: str, for_s: float) -> float:
            return await _rate(server, kinds[name], models[name], for_s)

        for name in kinds:
            await rate(name, WARMUP_S)
        found = []
        for number in range(1, rounds + 1):
            alone = {name: await rate(name, seconds) for name in kinds}
            several = await asyncio.gather(*(rate(name, seconds) for name in kinds))
            found.append((alone, dict(zip(kinds, several, strict=True))))
            typer.echo(f"round {number} of {rounds}", err=True)
    return found


async def _rate(server: Server, kind: Kind, model: str, seconds: float) -> float:
    """The amount a second; of an answer that is not whole by the end, the part until then."""
    done = 0.0
    end_at = perf_counter() + seconds

    async def ask_on() -> None:
        nonlocal done
        while (began_at := perf_counter()) < end_at:
            outcome = await server.ask(kind.work, model)
            if outcome.error:
                raise Unanswered(f"{model}: {outcome.error} {outcome.message}")
            share = min(1.0, (end_at - began_at) / outcome.seconds)
            done += share * outcome.amounts[kind.amount]

    await asyncio.gather(*(ask_on() for _ in range(kind.clients)))
    return done / seconds


def table(kinds: Mapping[str, Kind], rounds: list[tuple[Rates, Rates]]) -> str:
    """The medians, in Markdown; the last line has the sum of each round's shares."""
    lines = ["| kind | alone | together | share |", "| --- | --- | --- | --- |"]
    for name, kind in kinds.items():
        unit = kind.amount.replace("_", " ")
        alone = median(round_[0][name] for round_ in rounds)
        both = median(round_[1][name] for round_ in rounds)
        share = median(_share(round_, name) for round_ in rounds)
        lines.append(f"| {name}, {unit}/s | {short(alone)} | {short(both)} | {share:.2f} |")
    total = median(sum(_share(round_, name) for name in kinds) for round_ in rounds)
    return "\n".join([*lines, f"| sum | | | {total:.2f} |"])


def _share(measured: tuple[Rates, Rates], name: str) -> float:
    alone, several = measured
    return several[name] / alone[name] if alone[name] else 0.0


def main(argv: list[str]) -> None:
    """Run it with these arguments, and exit."""
    app(argv, prog_name="edge-serve bench together")
