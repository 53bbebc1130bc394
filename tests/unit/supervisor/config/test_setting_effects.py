"""Each setting, and what it does to the spec of a model or to the plan. None is without effect."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from supervisor.config import catalog, settings
from supervisor.config.compat_settings import REPLACED
from supervisor.config.entries.entry import Entry
from supervisor.config.settings import Flags, Settings
from supervisor.config.spec import Files, spec_for
from supervisor.host.hardware import Box
from supervisor.launch.daemon import plan_for
from supervisor.launch.operator_warnings import warnings

# Where the effect is neither in a spec nor in the plan, and what shows it.
ELSEWHERE = {
    "WYOMING_ANNOUNCE": "config/test_setting_effects",
    "MODELS": "cli/test_commands",
    "AUTO_DOWNLOAD_MODELS": "cli/test_commands",
    "MEASURE_ENGINES": "launch/test_timed",
    "HF_TOKEN": "cli/test_commands",
    "EDGE_SERVE_CONFIG": "cli/test_commands",
    "EDGE_SERVE_MODELS_DIR": "cli/test_commands",
    "EDGE_SERVE_WATCH": "launch/test_replan",
    "EDGE_SERVE_RUN_DIR": "launch/test_run_folder",
    "EDGE_SERVE_STATE_DIR": "launch/test_state_folder",
    "EDGE_SERVE_API_KEY": "config/test_access",
    "API_KEYS": "config/test_access",
    "API_KEYS_FILE": "config/test_access",
    "SSL_CERTFILE": "config/test_access",
    "SSL_KEYFILE": "config/test_access",
}

LOCAL = ["localhost", "127.0.0.1", "[::1]"]

# variable, value, task of the model, the part of its spec that changes
ON_SPECS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("MODEL_DEVICE", "cuda:1", "chat", {"device": "cuda:1"}),
    ("MAX_NEW_TOKENS", "7", "chat", {"defaults.max_tokens": 7, "defaults.thinking_max_tokens": 7}),
    ("MODEL_LOAD", "on_demand", "chat", {"load": "on_demand"}),
    ("MODEL_IDLE_UNLOAD_SEC", "7", "chat", {"idle_unload_s": 7.0}),
    ("MAX_QUEUE_SIZE", "7", "chat", {"queue_limit": 7}),
    ("MAX_QUEUE_SIZE", "7", "embed", {"queue_limit": 7}),
    ("MAX_QUEUE_SIZE", "7", "speech", {"queue_limit": 7}),
    ("CHAT_BATCH_QUEUE_SIZE", "7", "chat", {"queue_limit": 7}),
    ("EMBEDDING_BATCH_QUEUE_SIZE", "7", "embed", {"queue_limit": 7}),
    ("EMBEDDING_BATCH_QUEUE_SIZE", "7", "rerank", {"queue_limit": 7}),
    ("AUDIO_MAX_QUEUE_SIZE", "7", "speech", {"queue_limit": 7}),
    ("AUDIO_QUEUE_TIMEOUT_SEC", "7", "speech", {"queue_timeout_s": 7.0}),
    ("MAX_CONCURRENT", "2", "chat", {"slots": 2}),
    ("MAX_CONCURRENT", "2", "embed", {"slots": 2}),
    ("ENABLE_CHAT_BATCHING", "0", "chat", {"slots": 1}),
    ("CHAT_BATCH_MAX_SIZE", "3", "chat", {"slots": 3}),
    ("CHAT_BATCH_ALLOW_VISION", "1", "vision", {"slots": 8}),
    ("CHAT_MAX_PROMPT_TOKENS", "7", "chat", {"max_prompt_tokens": 7}),
    (
        "CHAT_MAX_NEW_TOKENS",
        "7",
        "chat",
        {"max_new_tokens": 7, "defaults.max_tokens": 7, "defaults.thinking_max_tokens": 7},
    ),
    ("ENABLE_EMBEDDING_BATCHING", "0", "embed", {"slots": 1, "batch_window_ms": 0.0}),
    ("EMBEDDING_BATCH_WINDOW_MS", "7", "embed", {"batch_window_ms": 7.0}),
    ("EMBEDDING_BATCH_WINDOW_MAX_SIZE", "7", "embed", {"slots": 7}),
    ("EMBEDDING_GENERATE_TIMEOUT_SEC", "7", "embed", {"request_timeout_s": 7.0}),
    ("EMBEDDING_CACHE_SIZE", "7", "embed", {"cache_items": 7}),
    ("AUDIO_MAX_CONCURRENT", "3", "speech", {"slots": 3}),
    ("AUDIO_PROCESS_TIMEOUT_SEC", "7", "speech", {"request_timeout_s": 7.0}),
    ("AUDIO_MAX_QUEUE_SIZE", "7", "speak", {"queue_limit": 7}),
    ("AUDIO_QUEUE_TIMEOUT_SEC", "7", "speak", {"queue_timeout_s": 7.0}),
    ("AUDIO_PROCESS_TIMEOUT_SEC", "7", "speak", {"request_timeout_s": 7.0}),
    ("SPEAK_MAX_CONCURRENT", "3", "speak", {"slots": 3}),
    ("ENABLE_WARMUP", "0", "chat", {"warmup.steps": 0}),
    ("WARMUP_STEPS", "3", "chat", {"warmup.steps": 3}),
    ("WARMUP_BATCH_SIZE", "3", "chat", {"warmup.batch_size": 3}),
    ("WARMUP_VRAM_BUDGET_MB", "7", "chat", {"warmup.vram_budget_mb": 7}),
    ("WARMUP_VRAM_PER_WORKER_MB", "7", "chat", {"warmup.vram_per_job_mb": 7}),
    ("WARMUP_ALLOWLIST", "acme/other", "chat", {"warmup.steps": 0}),
    ("WARMUP_SKIPLIST", "acme/other,acme/one", "chat", {"warmup.steps": 0}),
]

# variable, value, the part of the plan that changes
ON_PLANS: list[tuple[str, str, dict[str, Any]]] = [
    ("HOST", "::1", {"host": "::1"}),
    ("PORT", "7", {"port": 7}),
    ("LOG_FORMAT", "json", {"log_format": "json"}),
    ("LOG_LEVEL", "debug", {"log_level": "debug"}),
    ("OLLAMA_API", "1", {"serve.ollama": True}),
    ("OLLAMA_PORT", "7", {"ollama_port": 7}),
    ("WYOMING_PORT", "7", {"wyoming_port": 7}),
    ("WYOMING_HOST", "0.0.0.0", {"wyoming_host": "0.0.0.0"}),
    ("ENABLE_METRICS", "0", {"serve.metrics": False}),
    ("HISTORY_DAYS", "2", {"serve.history.days": 2.0}),
    ("HISTORY_MB", "2", {"serve.history.max_bytes": 2 << 20}),
    ("OTEL_TRUST_PARENT", "1", {"serve.trust_trace_parent": True}),
    ("METRICS_COMPAT", "none", {"serve.vllm_metrics": False}),
    ("DRAIN_TIMEOUT_SEC", "7", {"drain_s": 7.0}),
    ("KEEP_PREFIXES", "disk", {"keep_prefixes": "disk"}),
    ("MEMORY_BUDGET_MB", "7", {"memory_budget_mb": 7}),
    ("MODEL_PRELOAD", "0", {"preload": False}),
    ("KEEP_ALIVE_MAX_SEC", "7", {"serve.keep_alive_max_s": 7.0}),
    ("UPDATE_WATCH_SEC", "7", {"update_watch_s": 7.0}),
    ("WARMUP_FAIL_FAST", "1", {"fail_fast": True}),
    ("FRONTEND_MEMORY_MB", "7", {"serve.memory_mb": 7}),
    ("MAX_BATCH_SIZE", "7", {"serve.max_batch_size": 7}),
    ("MAX_TEXT_CHARS", "7", {"serve.max_text_chars": 7}),
    ("MAX_AUDIO_BYTES", "7", {"serve.max_audio_bytes": 7}),
    ("ALLOW_REMOTE_IMAGES", "1", {"serve.remote_images.allowed": True}),
    ("REMOTE_IMAGE_HOST_ALLOWLIST", "a.example", {"serve.remote_images.hosts": ["a.example"]}),
    ("REMOTE_IMAGE_TIMEOUT", "7", {"serve.remote_images.timeout_s": 7.0}),
    ("MAX_REMOTE_IMAGE_BYTES", "7", {"serve.remote_images.max_bytes": 7}),
    ("BATCH_STORAGE_MB", "7", {"serve.batches.storage_bytes": 7 << 20}),
    ("MAX_BATCH_FILE_BYTES", "7", {"serve.batches.max_file_bytes": 7}),
    ("MAX_BATCH_LINES", "7", {"serve.batches.max_lines": 7}),
    ("MAX_BATCHES", "7", {"serve.batches.max_batches": 7}),
    ("BATCH_LINES_AT_ONCE", "7", {"serve.batches.lines_at_once": 7}),
    ("INCIDENTS_MB", "7", {"serve.incidents.max_bytes": 7 << 20}),
    ("EMBEDDING_USAGE_DISABLE_TOKEN_COUNT", "1", {"serve.embedding_usage": False}),
    ("TRUSTED_HOSTS", "box.example", {"serve.gate.hosts": [*LOCAL, "box.example"]}),
    ("CORS_ALLOW_ORIGINS", "https://a.example", {"serve.gate.cors_origins": ["https://a.example"]}),
    ("MAX_CONNECTIONS", "7", {"serve.gate.max_connections": 7}),
]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine that runs the tests takes part in them."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in (*(field.upper() for field in Settings.model_fields), *REPLACED):
        os.environ.pop(name, None)


def part(of: Any, path: str) -> Any:
    for name in path.split("."):
        of = getattr(of, name)
    return of


def spec(task: str) -> Any:
    keys = {"task": "chat", "vision": True} if task == "vision" else {"task": task}
    entry = Entry.model_validate({"name": "acme/one", **keys})
    return spec_for(entry, settings.load(Flags()), Box(), Files())


def plan() -> Any:
    return plan_for(settings.load(Flags()), [], {}, Path("/run/x"))


@pytest.mark.parametrize(("name", "value", "task", "expected"), ON_SPECS)
def test_a_setting_changes_the_spec(
    name: str, value: str, task: str, expected: dict[str, Any]
) -> None:
    before = {path: part(spec(task), path) for path in expected}
    os.environ[name] = value
    after = {path: part(spec(task), path) for path in expected}
    assert after == expected
    assert all(before[path] != after[path] for path in expected)


@pytest.mark.parametrize(("batch", "slots"), [("3", 3), ("6", 6), ("9", 6)])
def test_a_cap_on_requests_at_a_time_lowers_and_never_raises(batch: str, slots: int) -> None:
    os.environ.update(MAX_CONCURRENT="6", CHAT_BATCH_MAX_SIZE=batch)
    assert spec("chat").slots == slots


@pytest.mark.parametrize(("name", "value", "expected"), ON_PLANS)
def test_a_setting_changes_the_plan(name: str, value: str, expected: dict[str, Any]) -> None:
    before = {path: part(plan(), path) for path in expected}
    os.environ[name] = value
    after = {path: part(plan(), path) for path in expected}
    assert after == expected
    assert all(before[path] != after[path] for path in expected)


def test_what_can_be_reached_is_announced_where_that_is_wanted() -> None:
    os.environ.update(WYOMING_PORT="7", WYOMING_HOST="0.0.0.0")
    assert not plan().serve.wyoming_announced
    os.environ["WYOMING_ANNOUNCE"] = "1"
    assert plan().serve.wyoming_announced


def test_no_setting_is_without_effect() -> None:
    shown = {row[0] for row in ON_SPECS} | {row[0] for row in ON_PLANS} | set(ELSEWHERE)
    assert shown == {name.upper() for name in Settings.model_fields}
    folder = Path(__file__).parents[1]
    for name, where in ELSEWHERE.items():
        assert any(text in (folder / f"{where}.py").read_text() for text in (name, name.lower()))


def test_the_plan_shows_the_settings_but_no_secret() -> None:
    os.environ.update(HF_TOKEN="s3cret", EDGE_SERVE_API_KEY="s3cret", API_KEYS="a:" + "s3cret" * 8)
    shown = plan().settings
    assert plan().in_force()["chat_batch_max_size"] == 8
    assert "s3cret" not in repr(shown)
    for name, field in Settings.model_fields.items():
        if name.rpartition("_")[2] in ("key", "keys", "token"):
            assert not field.repr, f"{name} may hold a secret and would be shown"


def test_settings_that_lost_their_meaning_are_accepted_and_say_what_replaces_them() -> None:
    os.environ.update(CHAT_BATCH_WINDOW_MS="10", CHAT_MAX_WORKERS="2", AUDIO_MAX_WORKERS="")
    (warning,) = warnings(settings.load(Flags()), [])
    first, second = warning.splitlines()
    assert first.startswith("CHAT_BATCH_WINDOW_MS has no effect: ")
    assert "CHAT_BATCH_MAX_SIZE" in first
    assert second.startswith("CHAT_MAX_WORKERS has no effect: ")
    assert "`replicas`" in second


def test_nothing_is_a_setting_and_replaced_at_once() -> None:
    assert not set(REPLACED) & {name.upper() for name in Settings.model_fields}


def test_a_warm_up_list_with_an_unserved_model_is_warned_about() -> None:
    os.environ["WARMUP_SKIPLIST"] = "openai/whisper-bas"
    found = warnings(settings.load(Flags()), catalog.load(None).serve)
    assert found == [
        "WARMUP_SKIPLIST: openai/whisper-bas is not among the models that are served; "
        "did you mean openai/whisper-base?"
    ]


def test_a_cap_that_takes_batches_apart_is_warned_about() -> None:
    os.environ["MAX_CONCURRENT"] = "2"
    (warning,) = warnings(settings.load(Flags()), [])
    assert warning.startswith("MAX_CONCURRENT=2 holds each model to 2 requests at a time")
    os.environ["ENABLE_CHAT_BATCHING"] = "0"
    assert warnings(settings.load(Flags()), []) == []


def test_a_model_that_is_named_twice_is_warned_about() -> None:
    os.environ["MODELS"] = "a,b,a,a"
    (warning,) = warnings(settings.load(Flags()), [])
    assert warning.startswith("MODELS: names a twice, and it is served once; `replicas`")


def test_hosts_of_images_that_are_not_fetched_are_warned_about() -> None:
    os.environ["REMOTE_IMAGE_HOST_ALLOWLIST"] = "a.example"
    (warning,) = warnings(settings.load(Flags()), [])
    assert warning.endswith("no image is fetched until ALLOW_REMOTE_IMAGES=1")


def test_a_length_of_answers_beyond_their_bound_is_warned_about() -> None:
    os.environ["MAX_NEW_TOKENS"] = "4096"
    (warning,) = warnings(settings.load(Flags()), [])
    assert warning.startswith("MAX_NEW_TOKENS=4096: no answer is longer than CHAT_MAX_NEW_TOKENS")
    del os.environ["MAX_NEW_TOKENS"]
    os.environ["CHAT_MAX_NEW_TOKENS"] = "100"
    assert warnings(settings.load(Flags()), []) == []
