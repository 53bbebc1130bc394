"""`command` with a real server: llama.cpp's own, from its package, with a real model; killed, and
found again."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import psutil
import pytest

from tests.process.box import EMBED, Box, MakeBox, spec, wait_until

ROOT = Path(__file__).parents[3]
SERVER = ROOT / "tests" / "contract" / "llama_server.py"
CHAT = "llama/chat"
LOADING_S = 60.0


@pytest.fixture
def box(make_box: MakeBox) -> Box:
    models = Path(os.environ.get("EDGE_SERVE_MODELS_DIR") or ROOT / "models")
    gguf = models / "HuggingFaceTB--SmolLM2-135M-Instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not gguf.exists():
        pytest.fail(f"{gguf} is missing: bin/test pulls the models, then runs these tests")
    line = shlex.join([sys.executable, str(SERVER), "{path}", "{port}", "2"])
    llama = spec(CHAT, engine="command", path=str(gguf), slots=2, options={"command": line})
    box = make_box(llama, spec(EMBED))
    wait_until(lambda: box.ask("/readyz") == 200, LOADING_S)
    return box


def server(box: Box) -> psutil.Process:
    return next(one for one in box.family() if str(SERVER) in one.cmdline()[1:2])


def test_a_real_server_that_is_killed_costs_its_answers_and_comes_back(box: Box) -> None:
    question = "Count from one to a hundred, in words."
    asked = {"model": CHAT, "temperature": 0, "max_tokens": 8}
    before = box.chat(question, **asked).json()["choices"][0]["message"]["content"]
    assert before.strip()

    body = {**asked, "max_tokens": 400, "stream": True}
    body["messages"] = [{"role": "user", "content": question}]
    with box.client.stream("POST", "/v1/chat/completions", json=body) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("data: ")
        victim = server(box)
        victim.kill()
        rest = list(lines)
    assert any("worker_crashed" in line for line in rest)
    assert "data: [DONE]" not in rest
    assert box.embed("meanwhile").status_code == 200

    wait_until(lambda: box.replica(CHAT)["generation"] == 2)
    wait_until(lambda: box.replica(CHAT)["state"] == "ready", LOADING_S)
    assert "was killed by SIGKILL" in box.replica(CHAT)["last_exit"]
    assert server(box).pid != victim.pid
    after = box.chat(question, **asked).json()["choices"][0]["message"]["content"]
    assert after == before
