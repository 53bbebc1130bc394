"""``bench compare chat|alone|neighbour|embed|...|all``: beside the bare engines."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
import uvloop
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench.figures import Row, markdown
from bench.terminal import plain_app
from supervisor.config.errors import ConfigError
from supervisor.models.archive import FetchError
from tests.bench import chat, embed, footprint, growth, overhead, speech
from tests.bench.alone import measure as alone
from tests.bench.alone import neighbour
from tests.bench.models import Models
from tests.bench.pairs import Rounds

_LIBRARIES = (
    *("openvino", "openvino-genai", "xllamacpp", "torch", "ctranslate2", "faster-whisper"),
    *("starlette", "uvicorn", "pyzmq"),
)


class What(StrEnum):
    CHAT = "chat"
    ALONE = "alone"
    NEIGHBOUR = "neighbour"
    EMBED = "embed"
    SPEECH = "speech"
    OVERHEAD = "overhead"
    FOOTPRINT = "footprint"
    GROWTH = "growth"
    ALL = "all"


Measure = Callable[[Rounds, Models], Awaitable[list[Row]]]
MEASURES: dict[What, Measure] = {
    What.CHAT: chat.measure,
    What.ALONE: alone.measure,
    What.NEIGHBOUR: neighbour.measure,
    What.EMBED: embed.measure,
    What.SPEECH: speech.measure,
    What.OVERHEAD: lambda rounds, _: overhead.measure(rounds),
    What.FOOTPRINT: footprint.measure,
    What.GROWTH: lambda rounds, _: growth.measure(rounds),
}


app = plain_app()


@app.command()
def compare(
    what: Annotated[What, typer.Argument(help="What to measure.")],
    rounds: Annotated[int, typer.Option(min=1, help="How often; medians are shown.")] = 5,
    json: Annotated[Path | None, typer.Option(help="Write the figures of all rounds here.")] = None,
) -> None:
    """Measure edge-serve against the bare engines on this machine, in turn, on the same inputs."""
    chosen: list[What] = list(MEASURES) if what is What.ALL else [what]
    box = _box(rounds)
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("starting", total=None)

            def say(text: str) -> None:
                progress.update(task, description=text)
                if not console.is_terminal:
                    console.print(text, highlight=False, soft_wrap=True)

            rows = uvloop.run(_measure(chosen, Rounds(rounds, say)))
    except (ConfigError, FetchError, RuntimeError, TimeoutError, ConnectionError) as error:
        print(f"bench: {error or type(error).__name__}", file=sys.stderr)
        raise typer.Exit(1) from error
    print(_head(box), markdown(rows), sep="\n\n")
    if json is not None:
        report = {"box": box, "figures": [row.report() for row in rows]}
        json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


async def _measure(chosen: list[What], rounds: Rounds) -> list[Row]:
    models = Models(rounds.say)
    return [row for what in chosen for row in await MEASURES[what](rounds, models)]


def _box(rounds: int) -> dict[str, Any]:
    """Where and when this was measured. The load is that of before, which should be near 0."""
    return {
        "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "rounds": rounds,
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def _head(box: dict[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in box["libraries"].items())
    return (
        f"{box['at']} UTC, {box['rounds']} rounds, {box['cpus']} cpus ({box['processor']}), "
        f"load before {box['load_before']}; python {box['python']}, {libraries}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"


def main(argv: list[str]) -> None:
    app(argv, prog_name="edge-serve bench compare")
