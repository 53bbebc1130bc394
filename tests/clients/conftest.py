"""Applications of other people, driven as their users do, against the default models.

They are large, and need a browser or more of the system, so none runs unless it is named:
bin/test clients open-webui. A client is a module here with its ``CLIENT`` and a file
``requirements-CLIENT.txt``, or a program of `programs`; `environment` makes it one of its own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "tests" / ".clients"
READY_S = 300.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clients", default="", help="which to run, by commas, or all")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = str(config.getoption("--clients", "") or "").split(",")
    for item in items:
        client = _client(item)
        if client is not None and client not in asked and "all" not in asked:
            item.add_marker(pytest.mark.skip(f"needs {client}: bin/test clients {client}"))


def _client(item: pytest.Item) -> str | None:
    """Whose test it is."""
    call = getattr(item, "callspec", None)
    program = None if call is None else call.params.get("program")
    if isinstance(program, Path):
        return program.stem.replace("_", "-")
    return getattr(getattr(item, "module", None), "CLIENT", None)


def environment(client: str, wanted: str | None = None) -> Path:
    """The folder of the programs of ``client``, installed as ``wanted`` or else its file of
    requirements says."""
    folder = ENVIRONMENTS / client
    if wanted is None:
        wanted = Path(__file__).with_name(f"requirements-{client}.txt").read_text()
    done, asked = folder / "installed.txt", folder / "wanted.txt"
    if not done.is_file() or done.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        asked.write_text(wanted)
        subprocess.run([folder / "bin" / "pip", "install", "-q", "-r", asked], check=True)
        done.write_text(wanted)
    return folder / "bin"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def running(command: list[str], log: Path, url: str, **variables: str) -> Iterator[str]:
    """A server that ``command`` starts, from when ``url`` answers 200 until it is not needed."""
    env = {**os.environ, **variables}
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=env, cwd=log.parent, stdout=out, stderr=out)
    try:
        give_up_at = time.monotonic() + READY_S
        while not _answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up_at, log.read_text()
            time.sleep(0.5)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server of the default models with default settings, and its log."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    command = [sys.executable, "-P", "-m", "supervisor.cli", "--port", str(port)]
    variables = {"PYTHONPATH": str(ROOT), "EDGE_SERVE_RUN_DIR": str(folder / "run")}
    log = folder / "server.log"
    address = f"http://127.0.0.1:{port}"
    for _ in running(command, log, f"{address}/readyz", LOG_FORMAT="json", **variables):
        yield address, log
