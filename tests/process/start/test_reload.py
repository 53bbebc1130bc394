"""A server whose files change while it runs: started by the command line, told by a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.ports import free_port
from tests.process.box import wait_until, whole
from tests.process.start.test_start import edge_serve, environment

ONE = "{name: one, task: chat, engine: echo}"
KEY, OTHER_KEY = "k" * 20, "o" * 20


class Server:
    """One edge-serve in a folder of its own, by its own catalog and .env."""

    def __init__(self, folder: Path, run_dir: str, **variables: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                edge_serve("--config", "own.yaml", "--port", str(self.port)),
                cwd=folder,
                env=environment(
                    EDGE_SERVE_RUN_DIR=run_dir,
                    EDGE_SERVE_STATE_DIR=str(folder / "state"),
                    LOG_FORMAT="json",
                    **variables,
                ),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def write(self, *models: str) -> None:
        """Have these in the catalog."""
        (self.folder / "own.yaml").write_text(f"models: [{', '.join(models)}]")

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def status(self, model: str, key: str = KEY) -> int | None:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        headers = {"authorization": f"Bearer {key}"}
        try:
            return self.client.post("/v1/chat/completions", json=body, headers=headers).status_code
        except httpx2.TransportError:
            return None

    def told(self, event: str) -> list[dict[str, Any]]:
        """The lines of the log that say so."""
        lines = self.log.read_text().rpartition("\n")[0].splitlines()  # the whole ones
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line.get("event") == event]

    def pids(self) -> set[int]:
        headers = {"authorization": f"Bearer {KEY}"}
        report = wait_until(lambda: whole(self.client.get("/health", headers=headers).json()))
        return {one["pid"] for model in report["models"] for one in model["replicas"]}


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    (tmp_path / "own.yaml").write_text(f"models: [{ONE}]")
    (tmp_path / "keys").write_text(f"ann:{KEY}\n")
    (tmp_path / "keys").chmod(0o600)
    (tmp_path / ".env").write_text("API_KEYS_FILE=keys\nUPDATE_WATCH_SEC=0\n")
    variables = getattr(request, "param", {})
    with tempfile.TemporaryDirectory(prefix="es-") as run_dir:
        found = Server(tmp_path, run_dir, **variables)
        try:
            wait_until(lambda: found.status("one") == 200)
            yield found
        finally:
            found.client.close()
            os.killpg(found.process.pid, signal.SIGTERM)
            found.process.wait(timeout=60)


def test_models_come_change_and_go_and_a_wrong_file_changes_nothing(server: Server) -> None:
    before = server.pids()
    server.write("{name: one, task: chat, engine: echo, queue_limit: 7}", ONE.replace("one", "two"))
    server.hang_up()
    wait_until(lambda: server.status("two") == 200)
    assert before < server.pids()  # the first one has not been restarted for a limit

    server.write("{name: one, task: chat, engine: echo, slots: 3}", ONE.replace("one", "two"))
    server.hang_up()
    # What loads beside another model yields the processors to all that want them.
    wait_until(lambda: server.told("update.done"), deadline_s=120.0)
    wait_until(lambda: not before & server.pids())

    kept = server.pids()
    server.write("{name: one, task: chat, engine: echo, slots: none}")
    server.hang_up()
    (refused,) = wait_until(lambda: server.told("config_refused"))
    assert "own.yaml: one: slots: 'none' is not" in refused["why"]
    assert server.pids() == kept

    server.write(ONE)
    server.hang_up()
    wait_until(lambda: server.status("two") == 404)
    assert server.status("one") == 200


@pytest.mark.parametrize("server", [{"EDGE_SERVE_WATCH": "1"}], indirect=True)
def test_a_key_that_is_taken_out_of_its_file_opens_nothing_any_more(server: Server) -> None:
    before = server.pids()
    (server.folder / "keys").write_text(f"bob:{OTHER_KEY}\n")
    wait_until(lambda: server.status("one", OTHER_KEY) == 200)
    assert server.status("one", KEY) == 401
    (server.folder / "keys").write_text(f"ann:{KEY}\n")
    wait_until(lambda: server.status("one", KEY) == 200)
    assert server.pids() == before
    assert server.process.poll() is None
