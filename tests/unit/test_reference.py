"""All that the reference server documents is here: served, accepted, or replaced and said so.

The lists are that server's own: its settings with the values that it states, its endpoints, metrics
and models. docs/reference.md must speak of each.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from supervisor.config import catalog
from supervisor.config.compat_settings import REPLACED
from supervisor.config.settings import Settings
from tests.unit.frontend.http_fakes import FakeControl, FakeDispatcher, application

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference.md").read_text()

ANY = object()  # it states no value

SETTINGS: dict[str, Any] = {
    "MODELS": ANY,
    "MODEL_DEVICE": "auto",
    "AUTO_DOWNLOAD_MODELS": True,
    "ENABLE_WARMUP": True,
    "WARMUP_BATCH_SIZE": ANY,
    "WARMUP_STEPS": ANY,
    "WARMUP_INFERENCE_MODE": ANY,
    "WARMUP_VRAM_BUDGET_MB": ANY,
    "WARMUP_VRAM_PER_WORKER_MB": ANY,
    "WARMUP_ALLOWLIST": ANY,
    "WARMUP_SKIPLIST": ANY,
    "MAX_CONCURRENT": ANY,
    "MAX_QUEUE_SIZE": ANY,
    "MAX_NEW_TOKENS": 512,
    "MAX_BATCH_SIZE": ANY,
    "MAX_TEXT_CHARS": ANY,
    "MAX_AUDIO_BYTES": ANY,
    "ENABLE_EMBEDDING_BATCHING": True,
    "EMBEDDING_BATCH_WINDOW_MS": 6.0,
    "EMBEDDING_BATCH_WINDOW_MAX_SIZE": ANY,
    "EMBEDDING_BATCH_QUEUE_SIZE": ANY,
    "EMBEDDING_GENERATE_TIMEOUT_SEC": 60.0,
    "EMBEDDING_CACHE_SIZE": 256,
    "EMBEDDING_USAGE_DISABLE_TOKEN_COUNT": False,
    "EMBEDDING_MAX_WORKERS": ANY,
    "ENABLE_CHAT_BATCHING": True,
    "CHAT_BATCH_WINDOW_MS": ANY,
    "CHAT_BATCH_MAX_SIZE": 8,
    "CHAT_BATCH_QUEUE_SIZE": ANY,
    "CHAT_BATCH_ALLOW_VISION": False,
    "CHAT_MAX_PROMPT_TOKENS": ANY,
    "CHAT_MAX_NEW_TOKENS": 2048,
    "CHAT_COUNT_MAX_WORKERS": ANY,
    "CHAT_COUNT_USE_CHAT_EXECUTOR": ANY,
    "CHAT_REQUEUE_RETRIES": ANY,
    "CHAT_REQUEUE_BASE_DELAY_MS": ANY,
    "CHAT_MAX_WORKERS": ANY,
    "VISION_MAX_WORKERS": ANY,
    "AUDIO_MAX_CONCURRENT": ANY,
    "AUDIO_MAX_QUEUE_SIZE": ANY,
    "AUDIO_QUEUE_TIMEOUT_SEC": ANY,
    "AUDIO_MAX_WORKERS": ANY,
    "AUDIO_PROCESS_TIMEOUT_SEC": ANY,
    "ALLOW_REMOTE_IMAGES": False,
    "REMOTE_IMAGE_TIMEOUT": 5.0,
    "MAX_REMOTE_IMAGE_BYTES": 5_242_880,
    "REMOTE_IMAGE_HOST_ALLOWLIST": ANY,
    "ENABLE_METRICS": True,
    "HF_TOKEN": ANY,
}
# Variables of libraries that it mentions; the page says what becomes of them.
OF_LIBRARIES = ["HF_HOME", "CUDA_VISIBLE_DEVICES"]

ENDPOINTS = [
    "POST /v1/embeddings",
    "POST /v1/chat/completions",
    "POST /v1/audio/transcriptions",
    "POST /v1/audio/translations",
    "GET /v1/models",
    "GET /health",
    "GET /metrics",
    # Plans there:
    "POST /embedding",
    "POST /embeddings",
    "POST /v1/rerank",
]

METRICS = [
    "embedding_request_latency_seconds",
    "embedding_request_queue_wait_seconds",
    "embedding_batch_wait_seconds",
    "chat_request_queue_wait_seconds",
    "chat_batch_wait_seconds",
    "audio_request_queue_wait_seconds",
    "embedding_cache_hits_total",
    "embedding_cache_misses_total",
]

# model, task, takes images
MODELS = [
    ("BAAI/bge-m3", "embed", False),
    ("google/embeddinggemma-300m", "embed", False),
    ("Qwen/Qwen3-VL-4B-Instruct-FP8", "chat", True),
    ("Qwen/Qwen3-VL-2B-Instruct-FP8", "chat", True),
    ("Qwen/Qwen3-VL-4B-Instruct", "chat", True),
    ("Qwen/Qwen3-VL-2B-Instruct", "chat", True),
    ("Qwen/Qwen3-4B-Instruct-2507", "chat", False),
    ("Qwen/Qwen3-4B-Instruct-2507-FP8", "chat", False),
    ("meta-llama/Llama-3.2-1B-Instruct", "chat", False),
    ("meta-llama/Llama-3.2-3B-Instruct", "chat", False),
    ("jethrowang/whisper-tiny-chinese", "speech", False),
    ("Ivydata/whisper-small-japanese", "speech", False),
    ("BELLE-2/Belle-whisper-large-v3-zh", "speech", False),
    ("whisper-large-v3-japanese-4k-steps", "speech", False),
    ("openai/whisper-large-v2", "speech", False),
    ("openai/whisper-medium", "speech", False),
    ("openai/whisper-medium.en", "speech", False),
    ("openai/whisper-small", "speech", False),
    ("openai/whisper-small.en", "speech", False),
    ("openai/whisper-tiny", "speech", False),
    ("openai/whisper-tiny.en", "speech", False),
]


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine that runs the tests takes part in them."""
    monkeypatch.setattr(os, "environ", {})


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize(("name", "stated"), SETTINGS.items(), ids=SETTINGS)
def test_a_setting_is_known_with_the_value_stated_there(name: str, stated: Any) -> None:
    if name in REPLACED:
        assert f"`{name}` | Replaced" in PAGE
        return
    value = getattr(Settings(), name.lower())
    assert stated is ANY or value == stated
    assert f"| `{name}` |" in PAGE
    assert f"# {name}=" in (ROOT / ".env.example").read_text()


def test_nothing_is_called_replaced_that_was_not_there() -> None:
    assert set(REPLACED) <= set(SETTINGS)
    assert all(f"| `{name}` |" in PAGE for name in OF_LIBRARIES)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_is_served(endpoint: str) -> None:
    method, _, path = endpoint.partition(" ")
    routes = [route for route in application(FakeDispatcher()).routes if isinstance(route, Route)]
    assert any(route.path == path and method in (route.methods or ()) for route in routes)
    assert f"| `{endpoint}` |" in PAGE


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_shown(metric: str) -> None:
    with TestClient(application(FakeDispatcher(), FakeControl(None))) as client:
        text = client.get("/metrics").text
    assert f"# TYPE {metric} " in text
    assert f"| `{metric}` |" in PAGE


@pytest.mark.parametrize(("name", "task", "vision"), MODELS)
def test_a_model_is_in_the_catalog(name: str, task: str, vision: bool) -> None:
    entry = catalog.load(None).models[name].entry
    assert (entry.task, bool(entry.vision)) == (task, vision)
    assert entry.memory_mb
    assert f"| `{name}` |" in PAGE
