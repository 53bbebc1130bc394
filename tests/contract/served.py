"""A running edge-serve, started as anybody would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.ports import free_port


class Running:
    """A server at ``url`` that somebody else has started."""

    def __init__(self, url: str) -> None:
        self.url = url

    def models(self) -> list[dict[str, Any]]:
        """As /health tells of them, once it does: where others have the processors, the supervisor
        may not be heard in time."""
        reports: list[dict[str, Any]] = []

        def told() -> bool:
            reports.append(httpx2.get(f"{self.url}/health", timeout=60).json())
            return bool(reports[-1].get("supervisor"))

        self.wait_until(told)
        return list(reports[-1]["models"])

    def wait_ready(self, deadline_s: float = 120) -> None:
        self.wait_until(self._is_ready, deadline_s)

    def wait_until(self, what: Callable[[], bool], deadline_s: float = 120) -> None:
        """Until it is so; fails, with the log if there is one, where it is not in time."""
        end_at = time.monotonic() + deadline_s
        while time.monotonic() < end_at and self._lives():
            if what():
                return
            time.sleep(0.1)
        pytest.fail(f"not within {deadline_s:g} s: {what}\n{self._said()}")

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=20).status_code == 200
        except httpx2.TransportError:
            return False

    def _lives(self) -> bool:
        return True

    def _said(self) -> str:
        return ""


class Server(Running):
    """With the settings of the environment and ``more``, and nothing fetched."""

    def __init__(self, run_dir: str, **more: str) -> None:
        super().__init__(f"http://127.0.0.1:{free_port()}")
        self.log = Path(run_dir, "..", f"{Path(run_dir).name}.log").resolve()
        argv = [sys.executable, "-P", "-m", "supervisor.cli", "--port", self.url.rpartition(":")[2]]
        # Of one state folder only one server at a time has the files and batches.
        own = {"EDGE_SERVE_RUN_DIR": run_dir, "EDGE_SERVE_STATE_DIR": str(Path(run_dir, "state"))}
        env = {**os.environ, **own, "AUTO_DOWNLOAD_MODELS": "0", **more}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(argv, env=env, stdout=log, stderr=log)

    def _lives(self) -> bool:
        return self.process.poll() is None

    def _said(self) -> str:
        return self.log.read_text()


@contextmanager
def serving(**more: str) -> Iterator[Server]:
    """A server that is ready, with ``more`` settings; it has to end well."""
    with tempfile.TemporaryDirectory(prefix="es-") as run_dir:
        server = Server(run_dir, **more)
        try:
            server.wait_ready()
            yield server
        finally:
            server.process.send_signal(signal.SIGTERM)
            status = server.process.wait(timeout=60)
            server.log.unlink()
        assert status == 0
