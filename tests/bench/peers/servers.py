"""A peer that runs: a server behind a port, or a library behind a pipe."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
import psutil

from bench.client import connected, get
from tests.bench.box import free_port
from tests.bench.models import Say
from tests.bench.peers.install import scripts
from tests.bench.peers.known import Files, Peer

READY_S = 300.0
RUN_S = 300.0
_POLL_S = 0.2
_ASK_S = 5.0
_STOP_S = 10.0
_LAST_BYTES = 2000
# Nothing is fetched, and nobody is told.
_QUIET = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}


class Running:
    """A started peer. ``port`` is of use where it serves."""

    def __init__(self, peer: Peer, process: Process, port: int, log: Path) -> None:
        self.peer = peer
        self.name = peer.name
        self.port = port
        self._process = process
        self._log = log

    async def ready(self) -> None:
        """Raises `RuntimeError` with the end of its log when it stops, and `TimeoutError`."""
        if not self.peer.serves:
            await self._line(READY_S)
            return
        end_at = perf_counter() + READY_S
        while not await self._answers():
            if self._process.returncode is not None:
                raise RuntimeError(f"{self.peer.name} has stopped\n{self._last_words()}")
            if perf_counter() > end_at:
                raise TimeoutError(f"{self.peer.name}: not ready\n{self._last_words()}")
            await asyncio.sleep(_POLL_S)

    async def work(self, inputs: list[str], deadline_s: float = RUN_S) -> dict[str, Any]:
        """What a library makes of ``inputs``, see ``apps/library.py``."""
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(inputs) + b"\n")
        return await self._line(deadline_s)

    def said(self) -> str:
        """What of its log is to be shown, see `Peer.says`."""
        found = re.search(self.peer.says, self._log.read_text(errors="replace"))
        return found[0] if found else ""

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_s(self) -> float:
        """The processor time that all its processes have taken so far."""
        whole = psutil.Process(self._process.pid)
        times = [one.cpu_times() for one in (whole, *whole.children(recursive=True))]
        return sum(float(time.user + time.system) for time in times)

    def rss_mb(self) -> float:
        """The resident memory of all its processes together."""
        whole = psutil.Process(self._process.pid)
        processes = (whole, *whole.children(recursive=True))
        return sum(float(one.memory_info().rss) for one in processes) / 2**20

    async def _answers(self) -> bool:
        try:
            async with connected(self.port, 1) as (connection,), asyncio.timeout(_ASK_S):
                return (await connection.ask(get(self.peer.ready))).status == 200
        except (OSError, TimeoutError):
            return False

    async def _line(self, deadline_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(deadline_s):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.peer.name} has stopped\n{self._last_words()}")
        answer: dict[str, Any] = orjson.loads(line)
        return answer

    def _last_words(self) -> str:
        return self._log.read_bytes()[-_LAST_BYTES:].decode(errors="replace")


async def all_running(
    stack: AsyncExitStack, peers: Sequence[Peer], files: Files, say: Say
) -> list[Running]:
    """All peers, started and ready, until ``stack`` ends; without those that fail, which is
    said."""
    started = []
    for peer in peers:
        say(f"{peer.name}: starting")
        try:
            one = await stack.enter_async_context(running(peer, files))
        except (OSError, RuntimeError) as error:  # a TimeoutError is an OSError
            say(f"{peer.name} does not start, and is left out: {error or type(error).__name__}")
            continue
        if said := one.said():
            say(f"{peer.name}: {said}")
        started.append(one)
    return started


@asynccontextmanager
async def running(peer: Peer, files: Files) -> AsyncIterator[Running]:
    """Start the peer, which is ready at the start of the block and gone at its end."""
    port = free_port()
    with tempfile.NamedTemporaryFile(prefix=f"{peer.name}-", suffix=".log") as log:
        process = await asyncio.create_subprocess_exec(
            *peer.command(scripts(peer), files, port),
            env={**os.environ, **_QUIET},
            stdin=PIPE,
            stdout=log if peer.serves else PIPE,
            stderr=log,
            start_new_session=True,
        )
        try:
            one = Running(peer, process, port, Path(log.name))
            await one.ready()
            yield one
        finally:
            await _stop(process)


async def _stop(process: Process) -> None:
    """End the peer and whatever it has started: its session is its own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except ProcessLookupError:
            return
        except TimeoutError:
            continue
