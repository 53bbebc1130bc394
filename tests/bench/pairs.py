"""Both sides in turn: the bare engine's process, and rounds of A B B A."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from ipc.messages.spec import Spec
from supervisor.children.environment import environment
from supervisor.config.errors import ConfigError
from supervisor.config.settings import child_env
from tests.bench.bare.asked import Asked, Run
from tests.bench.bare.engines import ENGINES
from tests.bench.models import Say

LOAD_S = 300.0
RUN_S = 180.0
_STOP_S = 10.0

Given = TypeVar("Given")
Ours = TypeVar("Ours")
Theirs = TypeVar("Theirs")


@dataclass(frozen=True)
class Rounds:
    """How often to measure, and where to say what is being measured."""

    count: int
    say: Say

    async def alternate(
        self,
        label: str,
        take: Callable[[], Given],
        ours: Callable[[Given], Awaitable[Ours]],
        bare: Callable[[Given], Awaitable[Theirs]],
    ) -> tuple[list[Ours], list[Theirs]]:
        """Both sides of every round, on the same input; who goes first changes each time."""
        left: list[Ours] = []
        right: list[Theirs] = []
        for number in range(self.count):
            given = take()
            self.say(f"{label}, round {number + 1} of {self.count}")
            if number % 2:
                left.append(await ours(given))
                right.append(await bare(given))
            else:
                right.append(await bare(given))
                left.append(await ours(given))
        return left, right


class Bare:
    """The process of `tests.bench.bare`, idle while nothing is asked of it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def run(self, inputs: list[str]) -> Run:
        """Raises `RuntimeError` when the process has died, and `TimeoutError`."""
        return await self.ask(Asked(inputs=inputs))

    async def ask(self, asked: Asked) -> Run:
        """As `run`."""
        return await self._exchange(msgspec.json.encode(asked), RUN_S)

    async def load(self, spec: Spec) -> None:
        await self._exchange(msgspec.json.encode(spec), LOAD_S)

    async def _exchange(self, line: bytes, deadline_s: float) -> Run:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(deadline_s):
            self._process.stdin.write(line + b"\n")
            await self._process.stdin.drain()
            answer = await self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the bare engine has died; its last words are above")
        return msgspec.json.decode(answer, type=Run)


@asynccontextmanager
async def bare(spec: Spec) -> AsyncIterator[Bare]:
    """The bare engine of ``spec``, loaded. Raises `ConfigError` where there is none to compare."""
    if (spec.engine, spec.task) not in ENGINES:
        known = ", ".join(f"{engine} for {task}" for engine, task in ENGINES)
        raise ConfigError(
            f"{spec.name}: engine {spec.engine} has no bare side here; there is {known}"
        )
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-P", "-m", "tests.bench.bare"],
        env=child_env(**environment(spec)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        engine = Bare(process)
        await engine.load(spec)
        yield engine
    finally:
        process.kill()
        async with asyncio.timeout(_STOP_S):
            await process.wait()
