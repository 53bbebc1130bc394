"""The tuning profiles of the reference server start and serve as they are written there.

The profiles are its own, at both ends where it gives a range. Those for a GPU also run where there
is none, on engines that need no device: all of them is then tried but the GPU. What becomes of a
model that does need one says the last test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from supervisor.config.compat_settings import REPLACED
from supervisor.host.hardware import detect
from tests.ports import free_port
from tests.process.box import CHAT, DEADLINE_S, EMBED, SPEECH, wait_until, whole

ROOT = Path(__file__).parents[3]
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
WHISPER = "openai/whisper-base"
REAL_S = 120.0

Environment = dict[str, str]

ONE_GPU = {
    "MODEL_DEVICE": "cuda",
    "MAX_CONCURRENT": "1",
    "EMBEDDING_BATCH_WINDOW_MS": "4",
    "EMBEDDING_BATCH_WINDOW_MAX_SIZE": "16",
    "MAX_QUEUE_SIZE": "128",
    "ENABLE_WARMUP": "1",
    "WARMUP_STEPS": "2",
    "WARMUP_BATCH_SIZE": "8",
}
GPU_PROFILES: dict[str, Environment] = {
    "one GPU": ONE_GPU,
    "one GPU, wider window": {**ONE_GPU, "EMBEDDING_BATCH_WINDOW_MS": "6"},
    "one of several GPUs": {
        "MODEL_DEVICE": "cuda",
        "CUDA_VISIBLE_DEVICES": "0",
        "MAX_CONCURRENT": "2",
    },
}
CPU_PROFILES: dict[str, Environment] = {
    "latency": {"EMBEDDING_BATCH_WINDOW_MS": "0", "MAX_CONCURRENT": "1"},
    "CPU": {
        "MODEL_DEVICE": "cpu",
        "MAX_CONCURRENT": "1",
        "EMBEDDING_MAX_WORKERS": "1",
        "CHAT_MAX_WORKERS": "1",
        "AUDIO_MAX_CONCURRENT": "1",
    },
    "CPU, more workers": {
        "MODEL_DEVICE": "cpu",
        "MAX_CONCURRENT": "1",
        "EMBEDDING_MAX_WORKERS": "2",
        "CHAT_MAX_WORKERS": "2",
        "AUDIO_MAX_CONCURRENT": "1",
    },
}
PROFILES = {**GPU_PROFILES, **CPU_PROFILES}


class Served:
    """A server started by the command line with nothing but an environment."""

    def __init__(self, folder: Path, environment: Environment, *arguments: str) -> None:
        port = free_port()
        self.log = folder / "log"
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        argv = [sys.executable, "-P", "-m", "supervisor.cli", "--port", str(port), *arguments]
        ours = {"PYTHONPATH": str(ROOT), "EDGE_SERVE_RUN_DIR": str(folder / "run")}
        bare = {key: value for key, value in os.environ.items() if key not in _SET_BY_PROFILES}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                argv,
                cwd=folder,
                env={**bare, **ours, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def get(self, path: str) -> Any:
        """The answer to a GET as JSON, None while nobody answers."""
        try:
            answer = self.client.get(path)
        except httpx2.TransportError:
            return None
        return answer.json()

    def is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def model(self, name: str) -> Any:
        return next(model for model in self.models() if model["name"] == name)

    def models(self) -> list[Any]:
        """As /health tells of them, once it does."""
        report = wait_until(lambda: whole(self.get("/health") or {}))
        return list(report["models"])

    def chat(self, model: str) -> httpx2.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
        return self.client.post("/v1/chat/completions", json=body)

    def embed(self, model: str) -> httpx2.Response:
        return self.client.post("/v1/embeddings", json={"model": model, "input": ["a", "b"]})

    def transcribe(self, model: str) -> httpx2.Response:
        silence = b"RIFF\x24\x3e\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"
        silence += b"\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00data\x00\x3e\x00\x00"
        files = {"file": ("silence.wav", silence + bytes(0x3E00))}
        return self.client.post("/v1/audio/transcriptions", data={"model": model}, files=files)

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        assert self.process.wait(timeout=DEADLINE_S) == 0


_SET_BY_PROFILES = {name for profile in PROFILES.values() for name in profile}

Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers that end with the test."""
    started: list[Served] = []
    with tempfile.TemporaryDirectory(prefix="es-") as folder:

        def start(environment: Environment, *arguments: str) -> Served:
            started.append(Served(Path(folder), environment, *arguments))
            return started[-1]

        yield start
        for served in started:
            served.close()


@pytest.fixture
def echo(tmp_path: Path) -> str:
    file = tmp_path / "echo.yaml"
    models = [f"{{name: {name}, task: {name[5:]}, engine: echo}}" for name in (CHAT, EMBED, SPEECH)]
    file.write_text(f"models: [{', '.join(models)}]")
    return str(file)


def workers(served: Served) -> list[psutil.Process]:
    family = psutil.Process(served.process.pid).children(recursive=True)
    return [process for process in family if "worker" in process.cmdline()]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_starts_and_serves(serve: Serve, echo: str, profile: str) -> None:
    environment = PROFILES[profile]
    served = serve(environment, "--config", echo)
    wait_until(served.is_ready)
    assert served.chat(CHAT).status_code == 200
    assert served.embed(EMBED).status_code == 200
    assert served.transcribe(SPEECH).status_code == 200
    device = environment.get("MODEL_DEVICE", "cpu")
    assert all(model["replicas"][0]["device"] == device for model in served.models())
    log = served.log.read_text()
    for name in environment:
        assert (f"{name} has no effect: " in log) == (name in REPLACED)
    for name in environment.keys() - REPLACED.keys() - {"CUDA_VISIBLE_DEVICES"}:
        shown = re.search(rf"{name.lower()}['\"]?[=:] ?['\"]?([\w.]+)", log)
        assert shown, f"{name} is not in runtime_config"
        assert shown[1].removesuffix(".0") in (environment[name], str(environment[name] == "1"))


def test_a_server_pinned_to_one_of_several_gpus_hands_its_workers_that_one(
    serve: Serve, echo: str
) -> None:
    served = serve({"MODEL_DEVICE": "cuda", "CUDA_VISIBLE_DEVICES": "1"}, "--config", echo)
    wait_until(served.is_ready)
    assert len(workers(served)) == 3
    assert {worker.environ()["CUDA_VISIBLE_DEVICES"] for worker in workers(served)} == {"1"}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_serves_real_models(serve: Serve, profile: str) -> None:
    if profile in GPU_PROFILES and not detect().cuda:
        pytest.skip("there is no GPU, or this torch cannot use one")
    served = serve({**PROFILES[profile], "AUTO_DOWNLOAD_MODELS": "0"})
    wait_until(served.is_ready, REAL_S)
    assert served.chat(SMOLLM2).json()["usage"]["completion_tokens"] > 0
    assert len(served.embed(MINILM).json()["data"][0]["embedding"]) == 384
    assert served.transcribe(WHISPER).status_code == 200
    for model in served.models():
        assert model["replicas"][0]["device"].startswith(PROFILES[profile].get("MODEL_DEVICE", ""))


def test_without_a_gpu_a_model_for_one_is_tried_again_and_never_served_by_the_cpu(
    serve: Serve,
) -> None:
    environment = {**ONE_GPU, "CUDA_VISIBLE_DEVICES": "", "AUTO_DOWNLOAD_MODELS": "0"}
    served = serve(environment, "--models", MINILM)

    def tried_twice() -> Any:
        model = served.model(MINILM)
        return model if model["replicas"][0]["generation"] > 1 else None

    model = wait_until(tried_twice, REAL_S)
    assert "device cuda is not there" in str(model)
    assert not served.is_ready()
    refused = served.embed(MINILM)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] in ("model_loading", "circuit_open")
