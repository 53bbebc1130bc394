"""Ollama's own library, which has a server fetch a model from a hub, and remove it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.clients.conftest import environment
from tests.fake_hub import FakeHub
from tests.process.box import CHAT, boxes, spec
from tests.process.test_pulls import WEIGHTS

CLIENT = "ollama-pulls"


def test_models_come_and_go(tmp_path: Path) -> None:
    hub = FakeHub(tmp_path / "hub")
    hub.put("acme/one", {"one-Q8_0.gguf": WEIGHTS})
    hub.chunk_s = 0.02
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with hub.running() as url, boxes() as make:
        env = {"HF_ENDPOINT": url, "EDGE_SERVE_MODELS_DIR": str(tmp_path / "models")}
        box = make(
            spec(CHAT),
            ollama=True,
            state_dir=str(state),
            command_env={**env, "HF_HUB_OFFLINE": ""},
        )
        box.wait_ready()
        python = environment("ollama", "ollama==0.6.3\n") / "python"
        program = Path(__file__).with_name("ollama_pulls.py")
        subprocess.run(
            [python, "-P", program, box.url, "hf.co/acme/one:Q8_0"], check=True, timeout=300
        )
