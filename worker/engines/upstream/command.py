"""A server program as an engine: started, awaited, watched, and asked like any other upstream."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import socket
import time
from concurrent.futures import Future
from pathlib import Path

import httpx2
from msgspec.structs import replace

from ipc.engine_options import CommandOptions, RemoteOptions
from ipc.messages.errors import Unavailable
from ipc.messages.events import Event, Failed
from ipc.messages.spec import Loaded, Spec
from worker.engine import LoadError, Stage, options_of
from worker.engines.upstream.program import Program
from worker.engines.upstream.remote import Remote

HOST = "127.0.0.1"
WATCH_S = 5.0
# An answer that took so much longer than it may was waited for by nobody.
LATE_S = 1.0
# From a process's first closed socket to its end: it may have gigabytes to give back.
SETTLE_S = 1.0
CHECKOUT = Path(__file__).parents[3]


class Command(Remote):
    """An engine for every task: an OpenAI-compatible server that this worker starts for itself.
    Options: `CommandOptions`. Where there is no ``health_path``, the list of models has to do.

    A program that ends, or that is not healthy for ``spec.stall_s``, takes the worker with it, so
    that the supervisor starts both afresh.
    """

    def __init__(self) -> None:
        super().__init__()
        self._options: CommandOptions
        self._program: Program | None = None
        self._watching: Future[None] | None = None
        self._ill_since: float | None = None

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        port = _free_port()
        self._options = options_of(spec, CommandOptions)
        argv = arguments(self._options.command, spec, port)
        stage(f"starting {Path(argv[0]).name}")
        self._program = Program(argv, environment())
        try:
            there = RemoteOptions(base_url=f"http://{HOST}:{port}/v1", model=self._options.model)
            self._set_up(spec, there)
            loaded = self._meet(stage, self._options.start_timeout_s)
        except BaseException:
            self.close()
            raise
        self._program.hush()
        self._watching = self._begin(self._watch())
        return replace(loaded, device=spec.device)

    def wait_s(self) -> float | None:
        return 0.0 if self._fault() else super().wait_s()

    def step(self) -> list[Event]:
        """Raises `LoadError` once the program is gone, and with it the jobs that it had."""
        events = super().step()
        fault = self._fault()
        if fault is None:
            return events
        whole: list[Event] = [event for event in events if not isinstance(event, Failed)]
        if whole:
            return whole
        was_killed = self._program is not None and self._program.was_killed
        raise LoadError(fault, permanent=False, outside=was_killed)

    def close(self) -> None:
        super().close()
        if self._program is not None:
            self._program.stop()
            self._program = None

    def _fault(self) -> str | None:
        """Why there is no point in asking any more."""
        if self._program is None:
            return None
        if ended := self._program.ended():
            return ended
        ill_s = time.monotonic() - self._ill_since if self._ill_since else 0.0
        if ill_s > self._spec.stall_s:
            return f"{self._program.name} has not been healthy for {ill_s:.0f} s"
        return None

    def _on_wait(self, stage: Stage, why: str) -> None:  # noqa: ARG002
        """Only what the program says counts as progress; that it is asked does not."""
        if fault := self._fault():
            raise LoadError(fault, permanent=False)
        if self._program is not None and (news := self._program.news()):
            stage(news)

    async def _look(self) -> Loaded:
        if not await self._healthy():
            raise Unavailable(f"{self._options.health_path} answers that it is not healthy")
        return await super()._look()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(WATCH_S, self._spec.stall_s / 4))
            asked_at = time.monotonic()
            healthy = False
            with contextlib.suppress(httpx2.HTTPError, TimeoutError):
                async with asyncio.timeout(self._spec.stall_s):
                    healthy = await self._healthy()
            # One that was paused together with its program has not been kept waiting by it.
            paused = time.monotonic() - asked_at > self._spec.stall_s + LATE_S
            self._ill_since = None if healthy or paused else self._ill_since or asked_at

    async def _on_broken(self) -> None:
        """See first whether the program is ending: then that is what fails, with all its jobs."""
        if self._program is not None:
            await asyncio.to_thread(self._program.wait, SETTLE_S)

    async def _healthy(self) -> bool:
        return await self._servers.first.healthy(self._options.health_path)


def arguments(command: str, spec: Spec, port: int) -> list[str]:
    """The words of ``command`` with its places filled in; other braces stay."""
    places = {
        "{port}": str(port),
        "{host}": HOST,
        "{path}": spec.path,
        "{threads}": str(spec.threads),
        "{device}": spec.device,
    }
    words = shlex.split(command)
    for place, value in places.items():
        words = [word.replace(place, value) for word in words]
    return words


def environment() -> dict[str, str]:
    """Ours, without the folder that our own packages are found by: the program has its own."""
    env = dict(os.environ)
    folders = [each for each in env.pop("PYTHONPATH", "").split(os.pathsep) if each]
    if others := [each for each in folders if Path(each) != CHECKOUT]:
        env["PYTHONPATH"] = os.pathsep.join(others)
    return env


def _free_port() -> int:
    """A port that was free a moment ago; a program that finds it taken ends, and is tried again."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
