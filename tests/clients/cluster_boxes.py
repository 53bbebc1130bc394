"""Three boxes of a cluster on one machine, each with an edge-serve: at 127.0.0.2, .3 and .4, or on
a network of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import psutil
import yaml

from ipc.cluster import NODE, ClusterState, Member, Node, folder_of
from ipc.cluster import read as member_of
from ipc.runtime import durable
from tests.clients.conftest import ROOT, environment, free_port
from tests.clients.networks import Place
from tests.process.box import lives, wait_until

CLIENT = "cluster"
CHAT, EMBED = "echo/chat", "echo/embed"
ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
LOOPBACK = [Place(address) for address in ADDRESSES]
MEMORY_MB = 2000
DEADLINE_S = 600.0
_ECHO = {"engine": "echo", "cluster": True, "memory_mb": 150}
MODELS = [
    {"name": CHAT, "task": "chat", "replicas": 2, "slots": 8, **_ECHO},
    {"name": EMBED, "task": "embed", "replicas": 2, **_ECHO},
]


def command_of(process: psutil.Process) -> str:
    """Its command line; none of one that has ended meanwhile, or that nobody has waited for."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


class Box:
    """One box: its folders, its server while it has one, its node of Ray's."""

    def __init__(
        self, folder: Path, place: Place, models: list[dict[str, Any]], models_dir: Path
    ) -> None:
        ollama_port = free_port()
        self.place = place
        self.address = place.address
        self.port = free_port()
        self.url = f"http://{place.host}:{self.port}"
        self.ollama_url = f"http://{place.host}:{ollama_port}"
        self.log = folder / f"{self.address}.log"
        self.state_dir = folder / self.address
        self.models_dir = models_dir
        python = str(environment(CLIENT) / "python")
        self._program = [*place.within, python, "-P", "-m", "supervisor.cli"]
        catalog = folder / "models.yaml"
        catalog.write_text(yaml.safe_dump({"models": models}))
        self._env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "EDGE_SERVE_TEST_ENGINES": "1",
            "EDGE_SERVE_CONFIG": str(catalog),
            "EDGE_SERVE_STATE_DIR": str(self.state_dir),
            "EDGE_SERVE_MODELS_DIR": str(models_dir),
            "AUTO_DOWNLOAD_MODELS": "0",
            "HOST": place.host,
            "PORT": str(self.port),
            "OLLAMA_PORT": str(ollama_port),
            "LOG_LEVEL": "info",
        }
        self.server: subprocess.Popen[bytes] | None = None

    def cluster(self, *words: str, text: str = "") -> str:
        """What `edge-serve cluster` prints; it has to go well."""
        return self.command("cluster", *words, text=text)

    def command(self, *words: str, text: str = "", **variables: str) -> str:
        """What `edge-serve` prints; it has to go well."""
        done = subprocess.run(
            [*self._program, *words],
            env=self._env | variables,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def state(self) -> ClusterState:
        return msgspec.json.decode(self.cluster("status", "--json"), type=ClusterState)

    def serve(self) -> None:
        """Start its server."""
        with self.log.open("ab") as log:
            self.server = subprocess.Popen(
                self._program,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def member(self) -> Member | None:
        return member_of(folder_of(self.state_dir))

    def node(self) -> psutil.Process | None:
        """The parent of Ray's processes here."""
        told = durable.read_json(folder_of(self.state_dir) / NODE, Node)
        with contextlib.suppress(psutil.NoSuchProcess):
            found = psutil.Process(told.pid) if told is not None else None
            return found if found is not None and lives(found) else None
        return None

    def parts(self, name: str = "") -> list[psutil.Process]:
        """Ray's processes here, or those of them that are called so."""
        node = self.node()
        family = node.children(recursive=True) if node is not None else []
        return [one for one in family if name in command_of(one)]

    def everything(self) -> list[psutil.Process]:
        """All processes of the box."""
        node, found = self.node(), self.parts()
        if node is not None:
            found.append(node)
        if self.server is not None and self.server.poll() is None:
            server = psutil.Process(self.server.pid)
            found += [server, *server.children(recursive=True)]
        return found

    def stop(self) -> None:
        if self.server is not None and self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            try:
                self.server.wait(30)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()


@contextmanager
def boxes(
    folder: Path,
    models: list[dict[str, Any]] = MODELS,
    models_dir: Path | None = None,
    places: Sequence[Place] = LOOPBACK,
) -> Iterator[list[Box]]:
    """One at each of ``places``, all in one cluster and serving; afterwards they have left it. Each
    has a models folder of its own, if they do not share ``models_dir``."""
    found = [
        Box(folder, place, models, models_dir or folder / f"{place.address}-models")
        for place in places
    ]
    first, *others = found
    memory = ["--memory-mb", str(MEMORY_MB)]
    try:
        bundle = first.cluster(
            "init", "--address", first.address, "--cluster-port", str(free_port()), *memory
        )
        for box in others:
            box.cluster("join", "--address", box.address, *memory, "-", text=bundle)
        for box in found:
            box.serve()
        for box in found:
            wait_until(box.ready, DEADLINE_S)
        yield found
    finally:
        for box in found:
            box.stop()
        for box in reversed(found):
            if box.member() is not None:
                box.cluster("leave", "--force")


def kill(processes: list[psutil.Process], number: signal.Signals = signal.SIGKILL) -> float:
    """Send all of them a signal; returns when."""
    for one in processes:
        if lives(one):
            one.send_signal(number)
    return time.monotonic()
