"""From options to figures: every level of every model, then the tables and the files."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from functools import partial
from typing import Any

import httpx2
import orjson
import uvloop
from rich.console import Console

from bench.load.ladder import Ask, Limit, hold
from bench.load.options import Common
from bench.load.outcome import Level, Run
from bench.load.report import in_words, report
from bench.load.screen import Bars, show
from bench.load.server import Server, Unanswered, Work, choose
from supervisor.cli.client import way
from supervisor.config.settings import Flags, Settings, load
from supervisor.models import optional_packages

_PIPED_COLUMNS = 120


def measure(command: str, asked: dict[str, Any], work: Work, common: Common) -> int:
    """The exit status: 1 when no request of some level was answered.

    ``asked`` says what is in each request. Raises `ConfigError` and `Unanswered`; `FetchError` if
    what draws a plot cannot be installed, `OSError` for a file that cannot be written.
    """
    if common.plot is not None:
        _have_plots()
    settings = load(Flags())
    url = common.base_url or settings.url
    at = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    runs = uvloop.run(_runs(settings, work, common))
    console = Console(width=None if sys.stdout.isatty() else _PIPED_COLUMNS)
    console.print(
        f"{command} at {url}, {at} UTC: {in_words(asked)}", highlight=False, soft_wrap=True
    )
    for run in runs:
        show(console, run)
    if common.json is not None:
        options = {**asked, "warmup": common.warmup, **asdict(common.limit)}
        found = report(command, url, at, options, runs)
        common.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if common.plot is not None:
        from bench.load.plot import draw

        draw(command, f"{url}, {at} UTC: {in_words(asked)}", runs, common.plot)
    return 0 if all(level.answered for run in runs for level in run.levels) else 1


def _have_plots() -> None:
    """Before anything is measured: only who asks for a plot has what draws it."""
    if not optional_packages.PLOT.are_here():
        print("edge-serve bench: installing matplotlib, once", file=sys.stderr)
        optional_packages.PLOT.install(lambda _label, _done, _total: None)


async def _runs(settings: Settings, work: Work, common: Common) -> list[Run]:
    reach = way(settings, common.base_url, common.timeout)
    # As many connections as clients: a pool that is smaller would be what is measured.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    try:
        client = httpx2.AsyncClient(**reach, limits=limits)
    except httpx2.InvalidURL as error:
        raise Unanswered(f"{common.base_url} is no address: {error}") from None
    bars = Bars(Console(stderr=True))
    async with client:
        server = Server(client, common.timeout)
        models = common.models or [choose(await server.models(), work.capability)]
        asks = {model: partial(server.ask, work, model) for model in models}
        with bars.shown():
            # All of them first: a name that nobody serves costs no figures of the others.
            for model, ask in asks.items():
                await _warm(ask, model, common.warmup, bars)
            return [await _run(ask, model, common, bars) for model, ask in asks.items()]


async def _warm(ask: Ask, model: str, count: int, bars: Bars) -> None:
    """Raises `Unanswered` if no request is."""
    if not count:
        return
    limit = Limit(requests=count)
    bars.level(f"{model}: warm-up", limit)
    level = await hold(ask, 1, limit, bars.outcome)
    if not level.answered:
        failed = level.outcomes[-1]
        raise Unanswered(f"{model}: {failed.error}: {failed.message}")


async def _run(ask: Ask, model: str, common: Common, bars: Bars) -> Run:
    levels: list[Level] = []
    for clients in common.levels:
        limit = common.limit.of(clients)
        bars.level(f"{model}: {clients} at once", limit)
        levels.append(await hold(ask, clients, limit, bars.outcome))
        if not levels[-1].answered:
            break  # more load will not help
    return Run(model, levels)
