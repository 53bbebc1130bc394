"""A second edge-serve with echo engines, for the engines whose models are in another server."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from ipc.messages.control import Serve
from ipc.messages.jobs import Task
from ipc.messages.spec import Spec
from supervisor import plan as plans
from supervisor.plan import Plan
from tests.ports import free_port

DEADLINE_S = 120.0
TASKS: tuple[Task, ...] = ("chat", "embed", "rerank", "speech")
# Long enough that answers can be seen while they grow.
WORD_MS = 5


@contextmanager
def edge_serve(slots: int) -> Iterator[str]:
    """The address of a server with one model for each task, named after it."""
    # A short path: sockets lie in it, and their names have 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="es-"))
    port = free_port()
    options: dict[str, str | int | float | bool] = {"word_ms": WORD_MS}
    specs = [
        Spec(name=task, task=task, engine="echo", path="", slots=slots, options=options)
        for task in TASKS
    ]
    plan = Plan(host="127.0.0.1", port=port, run_dir=str(folder), serve=Serve(specs=specs))
    argv = [sys.executable, "-P", "-m", "supervisor", str(plans.write(plan))]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        _await_ready(f"http://127.0.0.1:{port}", folder / "log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _await_ready(url: str, log: Path) -> None:
    end_at = time.monotonic() + DEADLINE_S
    while time.monotonic() < end_at:
        try:
            if httpx2.get(f"{url}/readyz", timeout=5).is_success:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail(f"the upstream is not ready within {DEADLINE_S:g} s:\n{log.read_text()}")
