"""One chat beside a process that takes a core all the time: what is left of its speed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from bench.figures import Row
from bench.words import Prompts
from ipc.messages.spec import Spec
from tests.bench.alone.measure import Served, ask, chats
from tests.bench.box import serving
from tests.bench.models import Models
from tests.bench.pairs import Rounds

ANSWER_TOKENS = 128
_BUSY = "while True: pass"


async def measure(rounds: Rounds, models: Models) -> list[Row]:
    """Each engine that can serve the first chat model of the catalog, with all cores and with one
    less than the neighbour leaves: left is beside the neighbour, right without one."""
    rows: list[Row] = []
    for spec in chats(rounds, models):
        for threads in sorted({1, os.cpu_count() or 1}):
            rows += await _engine(rounds, msgspec.structs.replace(spec, threads=threads))
    return rows


async def _engine(rounds: Rounds, spec: Spec) -> list[Row]:
    prompts, tokens = Prompts(), ANSWER_TOKENS
    label = f"{spec.engine}, {spec.threads} {'thread' if spec.threads == 1 else 'threads'}"
    rounds.say(f"{label}: loading")
    async with serving([spec]) as box:
        await box.ready()
        quiet = partial(ask, box, spec.name, tokens=tokens)

        async def beside(prompt: str) -> Served:
            async with _neighbour():
                return await quiet(prompt)

        await quiet(prompts.take(1)[0])
        take = lambda: prompts.take(1)[0]  # noqa: E731
        ours, alone = await rounds.alternate(label, take, beside, quiet)
    name = f"{label}: completion tokens beside a neighbour, and without"
    return [Row(name, "1/s", [one.per_s for one in ours], [one.per_s for one in alone])]


@asynccontextmanager
async def _neighbour() -> AsyncIterator[None]:
    """A process that takes a core for as long as this lasts."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _BUSY)
    try:
        yield
    finally:
        process.kill()
        await process.wait()
