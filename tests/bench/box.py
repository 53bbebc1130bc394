"""A whole edge-serve of its own for one measurement: real supervisor, frontend and workers."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
import psutil

from bench.client import HOST, connected, get
from ipc.messages.control import Serve
from ipc.messages.spec import Spec
from supervisor import plan as plans
from supervisor.config.settings import child_env
from supervisor.plan import Plan

READY_S = 300.0
STOP_S = 30.0
_HEALTH_S = 10.0
_POLL_S = 0.03
_SHOWN_LINES = 20


class Box:
    """A running edge-serve as a client and psutil see it."""

    def __init__(self, process: Process, port: int, log: Path) -> None:
        self.port = port
        self._process = process
        self._log = log
        self._started_at = perf_counter()

    async def health(self) -> dict[str, Any]:
        """The report of /health."""
        async with connected(self.port, 1) as (connection,), asyncio.timeout(_HEALTH_S):
            report: dict[str, Any] = orjson.loads((await connection.ask(get("/health"))).body)
        return report

    async def replica(self, model: str) -> dict[str, Any]:
        """The one worker of ``model`` in /health."""
        return _replicas(await self.health())[model]

    async def ready(self) -> dict[str, float]:
        """Wait until every worker is ready; the seconds from the start of edge-serve, by model.

        Raises `RuntimeError` with the end of the log when it stops or a model fails, and
        `TimeoutError`.
        """
        at: dict[str, float] = {}
        async for replicas in self._watch():
            for model, replica in replicas.items():
                if replica["state"] == "ready":
                    at.setdefault(model, perf_counter() - self._started_at)
            if replicas and len(at) == len(replicas):
                break
        return at

    async def ready_again(self, model: str, generation: int) -> None:
        """Wait until this ``generation`` of the model's worker is ready. Raises as `ready`."""
        async for replicas in self._watch():
            replica = replicas.get(model)
            if replica and replica["state"] == "ready" and replica["generation"] >= generation:
                return

    async def _watch(self) -> AsyncIterator[dict[str, dict[str, Any]]]:
        """The workers by model, again and again."""
        end_at = perf_counter() + READY_S
        while perf_counter() < end_at:
            replicas = _replicas(await self._first_health())
            for model, replica in replicas.items():
                if replica["state"] == "failed":
                    raise RuntimeError(f"{model}: {replica['reason']}\n{self._last_words()}")
            yield replicas
            await asyncio.sleep(_POLL_S)
        raise TimeoutError(f"not ready within {READY_S:.0f} s\n{self._last_words()}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_s(self) -> float:
        """The processor time that all its processes have taken so far."""
        whole = psutil.Process(self._process.pid)
        times = [one.cpu_times() for one in (whole, *whole.children(recursive=True))]
        return sum(float(time.user + time.system) for time in times)

    async def _first_health(self) -> dict[str, Any]:
        """A report, or none where no frontend is there to give it."""
        if self._process.returncode is not None:
            raise RuntimeError(f"edge-serve has stopped\n{self._last_words()}")
        try:
            return await self.health()
        except (ConnectionError, TimeoutError, orjson.JSONDecodeError):
            return {}

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text().splitlines()[-_SHOWN_LINES:])


def _replicas(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry["replicas"][0] for entry in report.get("models") or []}


@asynccontextmanager
async def serving(specs: Sequence[Spec]) -> AsyncIterator[Box]:
    """Start an edge-serve with ``specs``, not ready yet; stop it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="es-"))  # short: the paths of sockets are bounded
    log = folder / "log"
    port = free_port()
    run_dir = folder / "run"
    run_dir.mkdir(mode=0o700)
    serve = Serve(specs=list(specs))
    plan = plans.write(Plan(host=HOST, port=port, run_dir=str(run_dir), serve=serve))
    try:
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *[sys.executable, "-P", "-m", "supervisor", str(plan)],
                env=child_env(HF_HUB_OFFLINE="1"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            yield Box(process, port, log)
        finally:
            await stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def stop(process: Process) -> None:
    """Ask a process to end, and make it."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
    return port
