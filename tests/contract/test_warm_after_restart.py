"""Killed and started again, a model has in its cache what it was asked for before: the real
server, with a real model that tells how much of a prompt was cached."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import yaml

from tests.contract.served import Server
from tests.contract.subjects import SMOLLM2, real_model

pytestmark = pytest.mark.long
MODEL = "chat"
# Some hundred tokens, so that nothing of it is cached by chance.
SYSTEM = " ".join(f"Rule {at}: answer in words." for at in range(30))
OTHER = " ".join(f"Say {at} and nothing else." for at in range(30))


@dataclass
class Box:
    """A server of one model, and where it keeps what it keeps."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        self.server = Server(str(self.folder / "run"), **self.env)
        self.server.wait_ready()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.server.process.send_signal(number)
        self.server.process.wait(timeout=60)

    def cached(self, system: str, said: str) -> int:
        """How much of the prompt did not have to be read."""
        asked = {
            "model": MODEL,
            "max_tokens": 2,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": said},
            ],
        }
        answer = httpx2.post(f"{self.server.url}/v1/chat/completions", json=asked, timeout=120)
        usage = answer.raise_for_status().json()["usage"]
        return int(usage["prompt_tokens_details"]["cached_tokens"])

    def worker(self) -> dict[str, Any]:
        (model,) = self.server.models()
        (replica,) = model["replicas"]
        return {**replica, "phase": model["state"]}

    def wait_for(self, **facts: Any) -> None:
        self.server.wait_until(lambda: facts.items() <= self.worker().items())

    def wait_reread(self) -> int:
        self.server.wait_until(lambda: bool(self.worker()["reread_tokens"]))
        return int(self.worker()["reread_tokens"])

    def wait_kept(self) -> None:
        """Until what it was asked for is on the disk, and so known to the supervisor too."""
        file = self.folder / "state" / "prefixes.json"
        self.server.wait_until(lambda: file.exists() and MODEL in file.read_text())


@pytest.fixture
def box() -> Iterator[Box]:
    with tempfile.TemporaryDirectory(prefix="es-") as folder:
        box = Box(Path(folder))
        yield box
        box.stop()


def begin(box: Box, keep: str = "disk", **entry: Any) -> None:
    file = real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf")
    model = {"name": MODEL, "task": "chat", "engine": "llama.cpp", "source": f"file:{file}"}
    catalog = box.folder / "models.yaml"
    catalog.write_text(yaml.safe_dump({"models": [model | entry]}))
    box.env = {
        "EDGE_SERVE_CONFIG": str(catalog),
        "EDGE_SERVE_STATE_DIR": str(box.folder / "state"),
        "KEEP_PREFIXES": keep,
        "MODELS": "",
    }
    box.start()


def ask_twice(box: Box) -> int:
    """Returns what the second request found cached: the system's turn."""
    box.cached(SYSTEM, "Who are you?")
    warm = box.cached(SYSTEM, "What can you do?")
    assert warm > 100
    return warm


def test_a_worker_that_was_killed_is_followed_by_one_that_has_read_the_prompt(box: Box) -> None:
    begin(box)
    warm = ask_twice(box)
    box.wait_kept()
    psutil.Process(box.worker()["pid"]).kill()
    box.wait_for(generation=2, state="ready")
    assert box.wait_reread() == warm
    nothing = {"jobs": 0, "failed": 0, "in_flight": 0, "prompt_tokens": 0, "completion_tokens": 0}
    assert nothing.items() <= box.worker().items()
    assert box.cached(SYSTEM, "Why?") == warm
    box.wait_for(jobs=1)


def test_so_is_a_server_that_was_killed_where_the_disk_may_know(box: Box) -> None:
    begin(box)
    warm = ask_twice(box)
    box.wait_kept()
    box.stop(signal.SIGKILL)
    box.start()
    assert box.wait_reread() == warm
    assert box.cached(SYSTEM, "Why?") == warm
    box.stop()
    text = (box.folder / "state" / "prefixes.json").read_text()
    assert "Rule" not in text
    box.env["KEEP_PREFIXES"] = "memory"  # whoever turns it off has it gone
    box.start()
    assert not (box.folder / "state" / "prefixes.json").exists()


def test_a_model_that_was_unloaded_has_it_again_once_it_is_loaded_for_another(box: Box) -> None:
    begin(box, load="on_demand", idle_unload_s=15)
    warm = ask_twice(box)
    box.wait_kept()
    box.wait_for(phase="unloaded")
    assert box.cached(OTHER, "Why?") < 100
    assert box.wait_reread() == warm
    assert box.cached(SYSTEM, "Why?") == warm


def test_nothing_is_remembered_where_nothing_may_be(box: Box) -> None:
    begin(box, keep="off")
    ask_twice(box)
    psutil.Process(box.worker()["pid"]).kill()
    box.wait_for(generation=2, state="ready")
    assert box.cached(SYSTEM, "Why?") < 100
    assert box.worker()["reread_tokens"] == 0
