"""A model that joined a running server by a pull is still there after a restart and a reload."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fake_hub import FakeHub
from tests.process.box import lives, wait_until
from tests.process.start.test_reload import KEY, ONE, Server
from tests.unit.supervisor.discovery.test_discover import gguf

ASKED = {"authorization": f"Bearer {KEY}"}
# In the catalog, and not served.
TWO = "{name: two, task: chat, engine: echo}"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    fake = FakeHub(tmp_path / "hub")
    weights = gguf(general__architecture="gemma3", gemma3__block_count=1)
    fake.put("acme/one", {"one-Q8_0.gguf": weights})
    with fake.running() as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.yaml").write_text(f"models: [{ONE}, {TWO}]\nserve: [one]\n")
    (tmp_path / "keys").write_text(f"ann:{KEY}:admin\n")
    (tmp_path / "keys").chmod(0o600)
    (tmp_path / ".env").write_text("API_KEYS_FILE=keys\n")
    return tmp_path


class Starts:
    """The same server, started again and again."""

    def __init__(self, folder: Path, hub: str, run_dir: str) -> None:
        self._folder, self._run_dir = folder, run_dir
        self._variables = {
            "HF_ENDPOINT": hub,
            "HF_HUB_OFFLINE": "",
            "EDGE_SERVE_MODELS_DIR": str(folder / "models"),
        }
        self.start()

    def start(self) -> None:
        self.server = Server(self._folder, self._run_dir, **self._variables)
        wait_until(lambda: self.server.status("one") == 200)

    def kill(self) -> None:
        family = psutil.Process(self.server.process.pid).children(recursive=True)
        self.server.process.kill()
        self.server.process.wait()
        wait_until(lambda: not any(lives(child) for child in family))
        self.server.client.close()

    def pull(self, source: str) -> None:
        asked = self.server.client.post("/admin/pulls", json={"source": source}, headers=ASKED)
        assert asked.status_code == 202, asked.text
        path = f"/admin/pulls/{asked.json()['id']}"
        states = ("finished", "failed")
        pull = wait_until(
            lambda: next(
                (
                    one
                    for one in [self.server.client.get(path, headers=ASKED).json()]
                    if one["state"] in states
                ),
                None,
            )
        )
        assert pull["state"] == "finished", pull

    def served(self) -> list[str]:
        listed = self.server.client.get("/v1/models", headers=ASKED).json()["data"]
        return sorted(one["id"] for one in listed)


@pytest.fixture
def starts(folder: Path, hub: str) -> Iterator[Starts]:
    with tempfile.TemporaryDirectory(prefix="es-") as run_dir:
        found = Starts(folder, hub, run_dir)
        yield found
        if found.server.process.poll() is None:
            os.killpg(found.server.process.pid, signal.SIGTERM)
            found.server.process.wait(timeout=60)
        found.server.client.close()


def test_it_is_there_after_a_kill_and_after_a_reload_until_it_is_removed(starts: Starts) -> None:
    starts.pull("two")
    starts.pull("hf:acme/one")
    wait_until(lambda: starts.served() == ["acme/one", "one", "two"])

    reloaded = starts.server.client.post("/admin/reload", json={}, headers=ASKED).json()
    changed = {key: reloaded[key] for key in ("added", "removed", "updated", "adjusted")}
    assert changed == {"added": [], "removed": [], "updated": {}, "adjusted": {}}, reloaded
    assert starts.server.status("two") == 200

    starts.kill()
    starts.start()
    assert starts.served() == ["acme/one", "one", "two"]
    assert starts.server.status("two") == 200
    starts.server.hang_up()
    wait_until(lambda: starts.server.told("config_reloaded"))
    assert starts.served() == ["acme/one", "one", "two"]

    (starts.server.folder / "models" / "pulled.yaml").write_text("models: []\n")
    starts.server.hang_up()
    wait_until(lambda: starts.served() == ["one"])
