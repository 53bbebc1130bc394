"""Applications of other people, driven as their users do, against the models of models.yaml.

They are large, and need a browser or more of the system, so none runs unless it is named:
bin/test clients open-webui. A client is a module here with its ``CLIENT`` and a file
``requirements-CLIENT.txt``, or a program of `programs`; `environment` makes it one of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx2
import pytest
import yaml

ROOT = Path(__file__).parents[2]
MODELS = Path(__file__).with_name("models.yaml")
ENVIRONMENTS = ROOT / "tests" / ".clients"
READY_S = 900.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clients", default="", help="which to run, by commas, or all")
    parser.addoption("--engine", default="auto", help="which serves the chat models")


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
    if wanted is None:
        wanted = Path(__file__).with_name(f"requirements-{client}.txt").read_text()
    return _installed(client, wanted, _install_python) / "bin"


def packages(client: str, wanted: Sequence[str]) -> Path:
    """The folder in which Node.js finds the packages ``wanted``, as NAME@VERSION."""
    return _installed(client, "\n".join(wanted), _install_node)


def _installed(client: str, wanted: str, install: Callable[[Path, Path], None]) -> Path:
    folder = ENVIRONMENTS / client
    done, asked = folder / "installed.txt", folder / "wanted.txt"
    if not done.is_file() or done.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        asked.write_text(wanted)
        install(folder, asked)
        done.write_text(wanted)
    return folder


def _install_python(folder: Path, asked: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "-q", "-r", asked], check=True)


def _install_node(folder: Path, asked: Path) -> None:
    if shutil.which("npm") is None:
        pytest.fail("there is no npm; run: apt-get install npm")
    (folder / "package.json").write_text("{}")
    wanted = asked.read_text().split()
    subprocess.run(["npm", "install", "--silent", *wanted], cwd=folder, check=True)


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
def server(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[tuple[str, Path]]:
    """The address of a server of `MODELS` with default settings but Ollama's API, and its log."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    catalog = served_by(str(pytestconfig.getoption("--engine")), folder)
    command = [sys.executable, "-P", "-m", "supervisor.cli", "--port", str(port)]
    variables = {
        "PYTHONPATH": str(ROOT),
        "EDGE_SERVE_CONFIG": str(catalog),
        "EDGE_SERVE_RUN_DIR": str(folder / "run"),
        "OLLAMA_API": "1",
    }
    log = folder / "server.log"
    address = f"http://127.0.0.1:{port}"
    for _ in running(command, log, f"{address}/readyz", LOG_FORMAT="json", **variables):
        yield address, log


def served_by(engine: str, folder: Path) -> Path:
    """A catalog in ``folder`` like `MODELS`, whose chat models are served by ``engine``."""
    catalog = yaml.safe_load(MODELS.read_text())
    for model in catalog["models"]:
        model["engine"] = engine
    path = folder / MODELS.name
    path.write_text(yaml.safe_dump(catalog))
    return path
