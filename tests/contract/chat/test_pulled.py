"""From a place on a hub to a chat, through the commands that people use, with a real model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from supervisor.config.settings import ROOT
from tests.contract.served import serving
from tests.fake_hub import FakeHub

REAL = ROOT / "models/HuggingFaceTB--SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf"
SOURCE = "hf:acme/SmolLM2-135M-Instruct-GGUF"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not REAL.exists(), reason="pull the default models first"),
]


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Those of a box whose hub has the model."""
    hub = FakeHub(tmp_path / "hub")
    hub.put("acme/SmolLM2-135M-Instruct-GGUF", {REAL.name: REAL})
    with hub.running() as url:
        yield {
            "HF_ENDPOINT": url,
            "EDGE_SERVE_MODELS_DIR": str(tmp_path / "models"),
            "EDGE_SERVE_STATE_DIR": str(tmp_path / "state"),
        }


def test_a_model_that_no_catalog_has_is_pulled_served_and_answers(
    settings: dict[str, str],
) -> None:
    argv = [sys.executable, "-P", "-m", "supervisor.cli", "pull", SOURCE, "--name", "smol"]
    done = subprocess.run(
        argv, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "smol: chat by" in done.stdout
    with serving(**settings, MODELS="smol") as server:
        answer = httpx2.post(
            f"{server.url}/v1/chat/completions",
            json={"model": "smol", "messages": [{"role": "user", "content": "Say hello."}]},
            timeout=120,
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"].strip()


def test_a_start_pulls_what_it_is_told_by_its_place(settings: dict[str, str]) -> None:
    with serving(**settings, MODELS=SOURCE, AUTO_DOWNLOAD_MODELS="1") as server:
        listed = httpx2.get(f"{server.url}/v1/models", timeout=60).json()["data"]
        assert [one["id"] for one in listed] == ["acme/SmolLM2-135M-Instruct-GGUF"]
