"""The worker of a real model is killed under load, and its file makes that load again: of prompts
that are as long by the model's own tokenizer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.contract.served import Server
from tests.contract.subjects import SMOLLM2, real_model

pytestmark = pytest.mark.long
MODEL = "chat"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server of one model, which keeps what it keeps in ``folder``."""
    file = real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf")
    entry: dict[str, Any] = {
        "name": MODEL,
        "task": "chat",
        "engine": "llama.cpp",
        "source": f"file:{file}",
        "migrate": False,  # answers end with their worker
    }
    folder.mkdir()
    catalog = folder / "models.yaml"
    catalog.write_text(yaml.safe_dump({"models": [entry]}))
    more = {"EDGE_SERVE_CONFIG": str(catalog), "MODELS": ""}
    server = Server(str(folder / "run"), EDGE_SERVE_STATE_DIR=str(folder / "state"), **more)
    try:
        server.wait_ready()
        yield server
    finally:
        server.process.terminate()
        server.process.wait(timeout=60)


def ask(server: Server, words: int, stream: bool) -> int:
    asked = {
        "model": MODEL,
        "max_tokens": 64,
        "stream": stream,
        "messages": [{"role": "user", "content": "river " * words}],
    }
    return httpx2.post(f"{server.url}/v1/chat/completions", json=asked, timeout=300).status_code


def command(server: Server, *argv: str) -> Any:
    run = subprocess.run(
        [sys.executable, "-P", "-m", "supervisor.cli", *argv, "--url", server.url, "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def in_hand(server: Server) -> tuple[int, int]:
    """How many requests its worker has, and its pid."""
    (model,) = server.models()
    (replica,) = model["replicas"]
    return replica["in_flight"], replica["pid"]


def test_the_load_before_a_crash_is_made_again_token_for_token() -> None:
    with tempfile.TemporaryDirectory(prefix="es-") as folder:
        with serving(Path(folder, "a")) as server, ThreadPoolExecutor(8) as pool:
            assert ask(server, 5, False) == 200
            jobs = [pool.submit(ask, server, 20 * at, at % 2 == 0) for at in range(1, 7)]
            server.wait_until(lambda: in_hand(server)[0] > 1)
            os.kill(in_hand(server)[1], signal.SIGKILL)
            statuses = Counter(job.result() for job in jobs)
            files = Path(folder, "a", "state", "incidents")
            server.wait_until(lambda: any(files.glob("*-crash.chat.json.gz")))
            told = command(server, "incidents", "last", "--save", f"{folder}/it.json.gz")
        assert statuses[503] >= 1
        assert told["in_hand"] >= 2
        assert len(told["requests"]) == 7
        with serving(Path(folder, "b")) as server:
            again = command(server, "replay", f"{folder}/it.json.gz", "--speed", "4")
            page = httpx2.get(f"{server.url}/admin/requests", timeout=60).json()["requests"]
    kinds = {one["stream"]: (one["then"], one["now"]) for one in again["kinds"]}
    assert {stream: then["requests"] for stream, (then, _) in kinds.items()} == {False: 4, True: 3}
    assert all(now["ended"] == {"ok": then["requests"]} for then, now in kinds.values())
    known = sorted(one["prompt_tokens"] for one in told["requests"] if one.get("prompt_tokens"))
    made = sorted(one["tokens"]["prompt"] for one in page if one["path"].endswith("completions"))
    assert known
    for tokens in known:
        assert min(abs(tokens - other) for other in made) <= 2 + tokens // 20
