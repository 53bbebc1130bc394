"""LM Studio's API of both versions: what its clients ask, in every state that a model may have."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from frontend.api.compat.lm_studio import answers
from ipc.messages.admin import GetPull, ListPulls, LoadModel, StartPull, UnloadModel, Wish
from ipc.messages.spec import FileFacts
from ipc.messages.state import ModelPhase
from tests.unit.frontend.api.admin.desk import Desk
from tests.unit.frontend.api.compat.desk_in_states import acts, stand, wishes
from tests.unit.frontend.http_fakes import CHAT, USAGE, embeds, says

GGUF = FileFacts(
    size_bytes=125_000_000,
    format="gguf",
    family="llama",
    parameters=200_000_000,
    quantization="Q4_K_M",
)
STATES: list[tuple[ModelPhase, str, bool]] = [
    ("ready", "loaded", True),
    ("starting", "loading", False),
    ("unloaded", "not-loaded", False),
    ("stopped", "not-loaded", False),
    ("draining", "not-loaded", False),
    ("backoff", "not-loaded", False),
    ("failed", "not-loaded", False),
]


@pytest.mark.parametrize(("phase", "state", "is_loaded"), STATES)
def test_both_versions_say_whether_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, phase: ModelPhase, state: str, is_loaded: bool
) -> None:
    desk = Desk()
    stand(desk, monkeypatch, state=phase)
    older = desk.get("/api/v0/models").json()
    answers.LmStudioOlderModels.model_validate(older)
    assert older["data"][0]["state"] == state
    assert ("loaded_context_length" in older["data"][0]) is is_loaded
    told = desk.get("/api/v1/models").json()
    answers.LmStudioModels.model_validate(told)
    instance = {"id": "org/chat", "config": {"context_length": 2048}}
    assert told["models"][0]["loaded_instances"] == ([instance] if is_loaded else [])


def test_models_for_chats_and_vectors_are_told_with_what_their_files_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    desk.dispatcher.specs["org/chat"] = replace(CHAT, facts=GGUF, vision=True)
    stand(desk, monkeypatch, state="ready")
    chat, embed = desk.get("/api/v1/models").json()["models"]
    assert chat == {
        "type": "llm",
        "publisher": "org",
        "key": "org/chat",
        "display_name": "chat",
        "quantization": {"name": "Q4_K_M", "bits_per_weight": 5.0},
        "size_bytes": 125_000_000,
        "params_string": "200M",
        "loaded_instances": [{"id": "org/chat", "config": {"context_length": 2048}}],
        "max_context_length": 2048,
        "format": "gguf",
        "architecture": "llama",
        "capabilities": {"vision": True, "trained_for_tool_use": True},
        "description": None,
    }
    assert (embed["type"], embed["quantization"], "capabilities" in embed) == (
        "embedding",
        None,
        False,
    )
    older = desk.get("/api/v0/models/org/chat").json()
    assert older == {
        "id": "org/chat",
        "object": "model",
        "type": "vlm",
        "publisher": "org",
        "arch": "llama",
        "compatibility_type": "gguf",
        "quantization": "Q4_K_M",
        "state": "loaded",
        "max_context_length": 2048,
        "loaded_context_length": 2048,
        "capabilities": ["vision", "tool_use"],
    }
    assert desk.get("/api/v0/models/org/embed").json()["type"] == "embeddings"


@pytest.mark.parametrize("name", ["org/speech", "org/none"])
def test_a_model_that_it_has_no_api_for_is_404(name: str) -> None:
    desk = Desk()
    assert desk.get(f"/api/v0/models/{name}").status_code == 404
    assert desk.post("/api/v1/models/load", json={"model": name}).status_code == 404
    assert desk.post("/api/v1/models/unload", json={"instance_id": name}).status_code == 404
    assert wishes(desk) == list[Wish]()


def test_a_load_is_answered_once_the_model_is_ready() -> None:
    desk = Desk()
    body = {"model": "org/chat", "context_length": 16384, "echo_load_config": True}
    told = desk.post("/api/v1/models/load", json=body).json()
    answers.LmStudioLoaded.model_validate(told)
    assert told.pop("load_time_seconds") >= 0.0
    assert told == {
        "type": "llm",
        "instance_id": "org/chat",
        "status": "loaded",
        "load_config": {"context_length": 2048},  # as it is, whatever was asked
    }
    assert "load_config" not in desk.post("/api/v1/models/load", json={"model": "org/chat"}).json()
    assert wishes(desk) == [LoadModel(model="org/chat")] * 2
    assert acts(desk) == [("model.load", "org/chat", "ok")] * 2


def test_a_load_that_fails_is_told_with_why(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    stand(desk, monkeypatch, state="failed", reason="a damaged file")
    answer = desk.post("/api/v1/models/load", json={"model": "org/chat"})
    assert answer.status_code == 503
    assert "a damaged file" in answer.json()["error"]["message"]


def test_a_load_that_takes_too_long_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    assert desk.control.report is not None
    stand(desk, monkeypatch, state="starting")
    monkeypatch.setattr("frontend.api.admin.operator.LOAD_WAIT_S", 0.0)
    answer = desk.post("/api/v1/models/load", json={"model": "org/chat"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_loading")


def test_an_instance_leaves_by_the_name_that_it_was_given() -> None:
    desk = Desk()
    desk.dispatcher.aliases = {"small": "org/chat"}
    answer = desk.post("/api/v1/models/unload", json={"instance_id": "small"})
    assert (answer.status_code, answer.json()) == (200, {"instance_id": "small"})
    assert wishes(desk) == [UnloadModel(model="org/chat", force=True)]
    assert acts(desk) == [("model.unload", "org/chat", "ok")]


PULL = {
    "id": "pull-1",
    "source": "hf:a/b",
    "state": "running",
    "created_at": 1790000000.0,
    "changed_at": 1790000060.0,
    "done_bytes": 5,
    "total_bytes": 9,
    "bytes_per_s": 2,
    "eta_s": 2.0,
}
JOB = {
    "job_id": "pull-1",
    "total_size_bytes": 9,
    "downloaded_bytes": 5,
    "started_at": "2026-09-21T14:13:20Z",
}
ENDED = {"bytes_per_s": None, "eta_s": None}


@pytest.mark.parametrize(
    ("body", "source"),
    [
        ({"model": "BAAI/bge-m3"}, "BAAI/bge-m3"),
        ({"model": "https://huggingface.co/a/b"}, "hf:a/b"),
        ({"model": "https://huggingface.co/a/b", "quantization": "Q8_0"}, "hf:a/b:Q8_0"),
    ],
)
def test_a_download_is_a_pull(body: dict[str, str], source: str) -> None:
    desk = Desk()
    desk.control.report = PULL
    told = desk.post("/api/v1/models/download", json=body).json()
    answers.LmStudioJob.model_validate(told)
    assert told.pop("estimated_completion")
    assert told == {**JOB, "status": "downloading", "bytes_per_second": 2}
    assert wishes(desk) == [StartPull(source=source)]
    assert acts(desk) == [("pull.start", None, "ok")]


def test_a_model_that_is_here_is_not_fetched_again() -> None:
    desk = Desk()
    told = desk.post("/api/v1/models/download", json={"model": "org/chat"}).json()
    assert told == {"status": "already_downloaded"}
    assert wishes(desk) == list[Wish]()


@pytest.mark.parametrize("model", ["", "--help", "a b", 7, None])
def test_what_is_no_source_is_refused(model: Any) -> None:
    desk = Desk()
    assert desk.post("/api/v1/models/download", json={"model": model}).status_code == 400
    assert wishes(desk) == list[Wish]()


@pytest.mark.parametrize(
    ("changes", "status", "more"),
    [
        ({"state": "waiting", **ENDED}, "downloading", {"bytes_per_second": 0}),
        ({"state": "paused", **ENDED}, "paused", {}),
        ({"state": "finished"}, "completed", {"completed_at": "2026-09-21T14:14:20Z"}),
        ({"state": "failed"}, "failed", {}),
        ({"state": "cancelled"}, "failed", {}),
    ],
)
def test_a_download_is_told_by_its_id_and_among_all(
    changes: dict[str, Any], status: str, more: dict[str, Any]
) -> None:
    desk = Desk()
    desk.control.report = {**PULL, **changes}
    job = {**JOB, "status": status, **more}
    assert desk.get("/api/v1/models/download/status/pull-1").json() == job
    desk.control.report = {"pulls": [desk.control.report]}
    told = desk.get("/api/v1/models/download/status").json()
    answers.LmStudioJobs.model_validate(told)
    assert {name: jobs for name, jobs in told.items() if jobs} == {status: [job]}
    assert wishes(desk) == [GetPull("pull-1"), ListPulls()]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/models/load", {"model": "org/chat"}),
        ("POST", "/api/v1/models/unload", {"instance_id": "org/chat"}),
        ("POST", "/api/v1/models/download", {"model": "a/b"}),
        ("GET", "/api/v1/models/download/status", None),
        ("GET", "/api/v1/models/download/status/pull-1", None),
    ],
)
def test_only_operators_change_anything(method: str, path: str, body: Any) -> None:
    desk = Desk()
    for headers in ({"x-forwarded-for": "10.0.0.9"}, {"sec-fetch-site": "cross-site"}):
        assert desk.client.request(method, path, json=body, headers=headers).status_code == 403
    assert wishes(desk) == list[Wish]()


def test_chats_texts_and_vectors_of_the_older_version_are_those_of_openais_api() -> None:
    desk = Desk(says("hello"))
    chat = {"model": "org/chat", "messages": [{"role": "user", "content": "hi"}]}
    answer = desk.post("/api/v0/chat/completions", json=chat).json()
    assert answer["choices"][0]["message"]["content"] == "hello"
    assert answer["usage"]["prompt_tokens"] == USAGE.prompt_tokens
    text = desk.post("/api/v0/completions", json={"model": "org/chat", "prompt": "hi"}).json()
    assert text["choices"][0]["text"] == "hello"
    desk = Desk(embeds(b"\0\0\x80?" * 2, 1))
    vectors = desk.post("/api/v0/embeddings", json={"model": "org/embed", "input": "a"}).json()
    assert vectors["data"][0]["embedding"] == [1.0, 1.0]


def test_it_stands_beside_ollamas_api_and_each_tells_errors_in_its_own_form() -> None:
    desk = Desk(ollama=True)
    assert desk.get("/api/tags").status_code == 200
    assert desk.get("/api/v1/models").status_code == 200
    assert desk.post("/api/v1/models/load", json={}).json()["error"]["param"] == "model"
    assert isinstance(desk.post("/api/show", json={}).json()["error"], str)
    assert desk.get("/api/v1/chat").json()["error"]["message"].startswith("GET /api/v1/chat")
