"""``bench peers``: install the peers, measure all in turn, write JSON, tables and plots."""

from __future__ import annotations

import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer
import uvloop
from rich.console import Console

from bench import machine
from bench.models import Models, Say
from bench.peers import chat, embed, report, speech
from bench.peers.install import install, unpacked
from bench.peers.known import PEERS, Files, Peer
from bench.peers.sides import Figure
from supervisor.archive import FetchError
from supervisor.problems import ConfigError


class What(StrEnum):
    CHAT = "chat"
    EMBED = "embed"
    SPEECH = "speech"
    ALL = "all"


app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def peers(
    what: Annotated[What, typer.Argument(help="What to measure.")],
    rounds: Annotated[int, typer.Option(min=1, help="How often; medians are shown.")] = 5,
    streams: Annotated[str, typer.Option(help="How many chats at once.")] = "1,2,4,8,16,32,64",
    only: Annotated[
        str | None, typer.Option(help=f"Of {', '.join(peer.name for peer in PEERS)}.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Write figures.json, tables.md and the plots here.")
    ] = None,
) -> None:
    """Measure edge-serve against other servers and libraries on this machine, in turn.

    Each peer gets a virtual environment of its own in .peers, made from packages the first time.
    """
    say = _speaker()
    tasks = ("chat", "embed", "speech") if what is What.ALL else (what.value,)
    chosen = {task: _chosen(task, only) for task in tasks}
    about = {"at": time.strftime("%Y-%m-%d", time.gmtime()), "rounds": rounds, **machine.describe()}
    try:
        for some in chosen.values():
            for peer in some:
                install(peer, say)
        counts = [int(count) for count in streams.split(",")]
        about |= machine.ceilings()
        figures = uvloop.run(_measure(chosen, rounds, counts, say))
    except (ConfigError, FetchError, RuntimeError, OSError, ValueError) as error:
        print(f"bench: {error or type(error).__name__}", file=sys.stderr)
        raise typer.Exit(1) from error
    _write(about, figures, folder)


def _speaker() -> Say:
    console = Console(stderr=True)
    return lambda text: console.print(text, highlight=False, soft_wrap=True)


def _chosen(task: str, only: str | None) -> list[Peer]:
    names = only.split(",") if only else [peer.name for peer in PEERS]
    return [peer for peer in PEERS if peer.task == task and peer.name in names]


async def _measure(
    chosen: dict[str, list[Peer]], rounds: int, streams: list[int], say: Say
) -> list[Figure]:
    models = Models(say)
    files = _files(models, chosen, max(streams), say)
    figures: list[Figure] = []
    if "chat" in chosen:
        figures += await chat.measure(rounds, streams, models, chosen["chat"], files, say)
    if "embed" in chosen:
        figures += await embed.measure(rounds, models, chosen["embed"], files, say)
    if "speech" in chosen:
        figures += await speech.measure(rounds, models, chosen["speech"], files, say)
    return figures


def _files(models: Models, chosen: dict[str, list[Peer]], streams: int, say: Say) -> Files:
    gguf = Path(models.spec("chat").path)
    folder = gguf
    for peer in chosen.get("chat", []):
        if peer.name.startswith("transformers"):
            folder = unpacked(peer, gguf, say)
    return Files(
        chat_gguf=gguf,
        chat_folder=folder,
        embed=Path(models.spec("embed").path),
        speech=Path(models.spec("speech").path),
        threads=len(os.sched_getaffinity(0)),
        streams=streams,
    )


def _write(about: dict[str, object], figures: list[Figure], folder: Path | None) -> None:
    groups = report.grouped(figures)
    tables = "\n\n".join(report.markdown(name, some) for name, some in groups.items())
    print(orjson.dumps(about).decode(), tables, sep="\n\n")
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"about": about, "figures": figures}
    (folder / "figures.json").write_bytes(orjson.dumps(whole, option=orjson.OPT_INDENT_2))
    (folder / "tables.md").write_text(tables + "\n")
    for name, some in groups.items():
        file = name.replace(": ", "-").replace(" ", "-") + ".svg"
        report.draw(name, some, folder / file)


def main(argv: list[str]) -> None:
    app(argv, prog_name="edge-serve bench peers")
