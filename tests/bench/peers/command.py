"""``bench peers``: install the peers, measure all in turn, write JSON, tables and plots."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console

from ipc.messages.jobs import Task
from supervisor.config.errors import ConfigError
from supervisor.models import torch_install
from supervisor.models.archive import FetchError
from tests.bench import machine
from tests.bench.models import Models, Say
from tests.bench.peers import chat, edit, embed, ggml, report, speech
from tests.bench.peers.bound import most_tokens_per_s
from tests.bench.peers.install import FOLDER, install, scripts, unpacked
from tests.bench.peers.known import PEERS, TORCH, WHISPER_CPP, Files, Peer
from tests.bench.peers.results import Results
from tests.bench.peers.run import Run


class What(StrEnum):
    CHAT = "chat"
    PREFIX = "prefix"
    EDIT = "edit"
    EMBED = "embed"
    SPEECH = "speech"
    ALL = "all"


@dataclass(frozen=True)
class Lane:
    task: Task  # of its peers
    measure: Callable[[Run], Coroutine[Any, Any, None]]
    repeats: bool = False  # answers repeat their prompts: of use to who guesses

    def asks(self, peer: Peer) -> bool:
        return peer.task == self.task and (self.repeats or not peer.looks_up)


LANES = {
    What.CHAT: Lane("chat", chat.measure),
    What.PREFIX: Lane("chat", chat.measure_prefixes),
    What.EDIT: Lane("chat", edit.measure, repeats=True),
    What.EMBED: Lane("embed", embed.measure),
    What.SPEECH: Lane("speech", speech.measure),
}
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
    streams: Annotated[
        str | None, typer.Option(help="How many chats at once, as in 1,8,16.", show_default=False)
    ] = None,
    rows: Annotated[
        str, typer.Option(help="Of embed and speech, only rows with this in their name.")
    ] = "",
    only: Annotated[
        str | None, typer.Option(help=f"Of {', '.join(peer.name for peer in PEERS)}.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="Of edge-serve's chat model, in place of its own.", show_default=False),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Write figures.json, tables.md and plots here, adding to those there."),
    ] = None,
) -> None:
    """Measure edge-serve against other servers and libraries on this machine, in turn.

    Each peer gets a virtual environment of its own in .peers, made from packages the first time.
    """
    say = _speaker()
    lanes = list(LANES.values()) if what is What.ALL else [LANES[what]]
    tasks = {lane.task for lane in lanes}
    asked = {"what": what, "rounds": rounds, "only": only, "engine": engine}
    try:
        chosen = [peer for peer in _named(only) if any(lane.asks(peer) for lane in lanes)]
        counts = [int(count) for count in streams.split(",")] if streams else None
        results = Results(folder and folder / "figures.json")
        for peer in chosen:
            install(peer, say)
        models = Models(say)
        files = _files(models, tasks, chosen, engine, say)
        about = {"at": _today(), **asked, **machine.describe()}
        ceilings = _ceilings(chosen, say)
        results.begin(about | ceilings)
        bound = most_tokens_per_s(files.chat_gguf, ceilings) if "chat" in tasks else None
        for lane in lanes:
            some = [peer for peer in chosen if lane.asks(peer)]
            run = Run(some, models, files, rounds, counts, rows, results, say, engine, bound)
            uvloop.run(lane.measure(run))
        _write(results, folder)
    except (ConfigError, FetchError, RuntimeError, OSError, ValueError) as error:
        print(f"bench: {error or type(error).__name__}", file=sys.stderr)
        raise typer.Exit(1) from error


def _ceilings(chosen: Sequence[Peer], say: Say) -> dict[str, float]:
    """What this machine can do at most, by the torch that is here or that a peer has brought."""
    if torch_install.is_here():
        return machine.ceilings(sys.executable)
    for peer in chosen:
        if TORCH in peer.packages:
            return machine.ceilings(scripts(peer) / "python")
    say("neither this environment nor a peer has torch: what the machine can do is left out")
    return {}


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def _speaker() -> Say:
    console = Console(stderr=True)
    return lambda text: console.print(text, highlight=False, soft_wrap=True)


def _named(only: str | None) -> list[Peer]:
    """Raises `ConfigError` for a name that no peer has."""
    if only is None:
        return list(PEERS)
    names = only.split(",")
    if unknown := set(names) - {peer.name for peer in PEERS}:
        raise ConfigError(f"no peer is called {', '.join(sorted(unknown))}; see --help")
    return [peer for peer in PEERS if peer.name in names]


def _files(
    models: Models, tasks: Collection[Task], chosen: Sequence[Peer], engine: str | None, say: Say
) -> Files:
    """Those of ``tasks``: nobody has to have models of others."""

    def path(task: Task) -> Path:
        own = engine if task == "chat" else None
        return Path(models.spec(task, own).path) if task in tasks else Path()

    folder = gguf = path("chat")
    for peer in chosen:
        if peer.name.startswith("transformers"):
            folder = unpacked(peer, gguf, say)
    speech_folder = path("speech")
    return Files(
        chat_gguf=gguf,
        chat_folder=folder,
        embed=path("embed"),
        speech=speech_folder,
        threads=len(os.sched_getaffinity(0)),
        speech_ggml=_for_whisper_cpp(speech_folder, chosen),
    )


def _for_whisper_cpp(folder: Path, chosen: Sequence[Peer]) -> Path:
    file = FOLDER / "models" / f"{folder.name}.bin"
    if not file.exists() and any(peer.name in WHISPER_CPP for peer in chosen):
        file.parent.mkdir(parents=True, exist_ok=True)
        ggml.write(folder, file)
    return file


def _write(results: Results, folder: Path | None) -> None:
    groups = report.grouped(results.figures)
    tables = "\n\n".join(report.markdown(name, some) for name, some in groups.items())
    print(tables)
    if folder is None:
        return
    (folder / "tables.md").write_text(tables + "\n")
    for name, some in groups.items():
        file = "-".join(re.findall(r"\w+", name)) + ".svg"
        report.draw(name, some, folder / file)


def main(argv: list[str]) -> None:
    app(argv, prog_name="edge-serve bench peers")
