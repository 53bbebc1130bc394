"""The models as Ollama's clients see them, and the rest of its routes."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from frontend.api.ollama.facts import human_count
from frontend.api.ollama.models import leaves_at, running
from frontend.api.ollama.routes import ROUTES
from ipc.messages.control import AccessConfig
from ipc.messages.jobs import EmbedInput, Truncation
from ipc.messages.keys import ApiKey
from ipc.messages.spec import Defaults, FileFacts, Loaded
from ipc.messages.state import ModelState
from tests.unit.frontend.http_fakes import (
    CHAT,
    FakeControl,
    FakeDispatcher,
    application,
    embeds,
    says,
)

DIGEST = "ab" * 32
FACTS = FileFacts(
    size_bytes=98362432,
    digest=DIGEST,
    format="gguf",
    family="llama",
    parameters=134515008,
    quantization="Q4_1",
)
DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "134.52M",
    "quantization_level": "Q4_1",
}
ROWS = np.array([[3, 4], [0, 2]], dtype="<f4")


@pytest.fixture
def fake() -> FakeDispatcher:
    fake = FakeDispatcher(says("hi"))
    defaults = Defaults(temperature=0.6, top_p=0.9)
    fake.specs["org/chat"] = msgspec.structs.replace(
        CHAT, facts=FACTS, created=1_700_000_000, defaults=defaults
    )
    return fake


@pytest.fixture
def client(fake: FakeDispatcher) -> Iterator[TestClient]:
    with TestClient(application(fake, ollama=True)) as client:
        yield client


# --- models ---


def test_models_are_listed_with_what_their_files_say(client: TestClient) -> None:
    first, second = client.get("/api/tags").json()["models"]
    assert first == {
        "name": "org/chat",
        "model": "org/chat",
        "modified_at": "2023-11-14T22:13:20Z",
        "size": 98362432,
        "digest": DIGEST,
        "details": DETAILS,
        "capabilities": ["completion"],
    }
    assert (second["name"], second["capabilities"]) == ("org/embed", ["embedding"])
    assert second["details"] == {
        "parent_model": "",
        "format": "",
        "family": "",
        "families": [],
        "parameter_size": "",
        "quantization_level": "",
    }


def test_other_names_are_listed_too(client: TestClient, fake: FakeDispatcher) -> None:
    fake.aliases = {"llama3.2": "org/chat", "whisper-1": "org/speech"}
    names = [one["model"] for one in client.get("/api/tags").json()["models"]]
    assert names == ["org/chat", "org/embed", "llama3.2"]


def test_a_loaded_model_stays(client: TestClient) -> None:
    first, _ = client.get("/api/ps").json()["models"]
    assert first == {
        "name": "org/chat",
        "model": "org/chat",
        "size": 98362432,
        "digest": DIGEST,
        "details": DETAILS,
        "expires_at": "9999-12-31T23:59:59Z",
        "size_vram": 0,
        "context_length": 2048,
    }


def test_a_model_on_a_gpu_is_there_with_all_its_weights(fake: FakeDispatcher) -> None:
    told = running("org/chat", fake.specs["org/chat"], Loaded(device="cuda:0"), "")
    assert (told["size_vram"], told["context_length"]) == (98362432, 0)


def test_a_model_that_is_unloaded_when_it_idles_says_by_when(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = {"models": [{"name": "org/chat", "leaves_in_s": 90.0}, {"name": "org/embed"}]}
    monkeypatch.setattr(FakeControl, "health", answers(report))
    before = time.time()
    first, second = client.get("/api/ps").json()["models"]
    leaves_at = datetime.fromisoformat(first["expires_at"]).timestamp()
    assert before + 89.0 < leaves_at < time.time() + 91.0
    assert second["expires_at"] == "9999-12-31T23:59:59Z"


def answers(report: dict[str, Any]) -> Callable[..., Awaitable[dict[str, Any]]]:
    async def health(*_: object) -> dict[str, Any]:
        return report

    return health


def test_a_model_that_does_not_answer_yet_is_not_loaded(
    client: TestClient, fake: FakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading = ModelState(name="org/chat", routes=[], state="starting")
    monkeypatch.setattr(fake, "state", lambda _name: loading)
    assert client.get("/api/ps").json() == {"models": []}
    assert len(client.get("/api/tags").json()["models"]) == 2


@pytest.mark.parametrize("key", ["model", "name"])
def test_a_model_is_shown(client: TestClient, key: str) -> None:
    assert client.post("/api/show", json={key: "org/chat:latest", "verbose": True}).json() == {
        "parameters": "num_predict 512\ntemperature 0.6\ntop_p 0.9\ntop_k 0\nmin_p 0\n"
        "repeat_penalty 1\npresence_penalty 0\nfrequency_penalty 0",
        "details": DETAILS,
        "model_info": {
            "general.architecture": "llama",
            "general.basename": "chat",
            "general.parameter_count": 134515008,
            "llama.context_length": 2048,
        },
        "capabilities": ["completion"],
        "modified_at": "2023-11-14T22:13:20Z",
    }


def test_of_a_model_without_files_no_family_is_made_up(client: TestClient) -> None:
    shown = client.post("/api/show", json={"model": "org/embed"}).json()
    assert shown["model_info"] == {
        "general.architecture": "unknown",
        "general.basename": "embed",
        "unknown.context_length": 2048,
    }
    assert shown["parameters"] == ""


def test_what_is_no_model_here_is_not_found(client: TestClient) -> None:
    told = "this server has no such model for this API; GET /api/tags lists what it has"
    for name in ("llama3.2", "org/speech"):
        answer = client.post("/api/show", json={"model": name})
        assert (answer.status_code, answer.json()) == (404, {"error": told})
    answer = client.post("/api/show", json={})
    assert (answer.status_code, answer.json()) == (400, {"error": "`model` is required"})


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (7_000_000_000, "7B"),
        (7_241_732_096, "7.2B"),
        (134_515_008, "134.52M"),
        (23_000_000, "23M"),
        (5_400, "5K"),
        (12, "12"),
    ],
)
def test_counts_are_written_as_ollama_does(count: int, told: str) -> None:
    assert human_count(count) == told


# --- embeddings ---


def test_vectors_have_length_1(client: TestClient, fake: FakeDispatcher) -> None:
    fake.script = embeds(ROWS.tobytes(), count=2)
    answer = client.post("/api/embed", json={"model": "org/embed:latest", "input": ["a", "b"]})
    body = answer.json()
    assert body.pop("total_duration") > 0
    assert np.allclose(body.pop("embeddings"), [[0.6, 0.8], [0.0, 1.0]])
    assert body == {"model": "org/embed:latest", "load_duration": 0, "prompt_eval_count": 7}
    assert fake.asked == [EmbedInput(texts=["a", "b"], truncation=Truncation(cut=True))]


def test_what_is_said_of_vectors_is_done(client: TestClient, fake: FakeDispatcher) -> None:
    fake.script = embeds(ROWS.tobytes(), count=2)
    more = {"truncate": False, "dimensions": 2, "options": {"num_ctx": 1}, "keep_alive": "5m"}
    assert client.post("/api/embed", json={"model": "org/embed", "input": "a", **more}).is_success
    assert fake.asked == [EmbedInput(texts=["a"], dimensions=2, truncation=Truncation(cut=False))]


@pytest.mark.parametrize("body", [{}, {"input": ""}, {"input": []}, {"input": None}])
def test_of_nothing_there_is_no_vector(
    client: TestClient, fake: FakeDispatcher, body: dict[str, Any]
) -> None:
    answer = client.post("/api/embed", json={"model": "org/embed", **body})
    assert answer.json() == {"model": "org/embed", "embeddings": []}
    assert not fake.asked


def test_the_older_route_has_one_vector_as_the_model_made_it(
    client: TestClient, fake: FakeDispatcher
) -> None:
    fake.script = embeds(ROWS[:1].tobytes(), count=1)
    answer = client.post("/api/embeddings", json={"model": "org/embed", "prompt": "a"})
    assert answer.json() == {"embedding": [3.0, 4.0]}
    assert client.post("/api/embeddings", json={"model": "org/embed"}).json() == {"embedding": []}


def test_wrong_texts_are_refused_in_ollamas_form(client: TestClient) -> None:
    answer = client.post("/api/embed", json={"model": "org/embed", "input": [1]})
    assert (answer.status_code, answer.json()) == (400, {"error": "`input[0]` must be a string"})


# --- on and off ---


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_clients_find_ollama_running(client: TestClient, method: str) -> None:
    answer = client.request(method, "/")
    assert answer.status_code == 200
    assert answer.text == ("Ollama is running" if method == "GET" else "")
    assert client.request(method, "/api/tags").status_code == 200
    assert client.request(method, "/api/version").status_code == 200


def test_the_version_is_new_enough_for_clients_that_ask(client: TestClient) -> None:
    version = client.get("/api/version").json()["version"]
    assert [int(part) for part in version.split(".")] >= [0, 6, 4]


@pytest.mark.parametrize(
    "path", ["/api/create", "/api/copy", "/api/push", "/api/anything", "/api/blobs/sha256:29fd"]
)
def test_what_is_not_built_says_so_in_ollamas_form(client: TestClient, path: str) -> None:
    answer = client.post(path, json={})
    assert answer.status_code == 404
    told = f"POST {path} is a route of Ollama's API that is not built here; this server has "
    assert answer.json()["error"].startswith(told)


def test_keys_and_hosts_are_asked_for_here_too(fake: FakeDispatcher) -> None:
    gate = AccessConfig(api_keys={"ann": ApiKey.of("sesame")}, hosts=["testserver"])
    client = TestClient(application(fake, ollama=True, gate=gate))
    refused = client.get("/api/tags")
    elsewhere = client.get("/api/tags", headers={"host": "evil.example"})
    allowed = client.get("/api/tags", headers={"authorization": "Bearer sesame"})
    assert refused.status_code == 401
    assert refused.json()["error"].startswith("an API key is missing")
    assert elsewhere.status_code == 403
    assert set(elsewhere.json()) == {"error"}
    assert allowed.status_code == 200


def test_it_is_off_unless_it_is_asked_for(fake: FakeDispatcher) -> None:
    with TestClient(application(fake)) as client:
        answer = client.get("/api/tags")
        front = client.get("/").text
        paths = orjson.loads(client.get("/openapi.json").content)["paths"]
    assert answer.status_code == 404
    told = (
        "GET /api/tags is a route of Ollama's API, which is off here; OLLAMA_API=true turns it on"
    )
    assert answer.json()["error"]["message"] == told
    assert front.startswith("edge-serve: ")
    assert not [route.path for route in ROUTES if route.path in paths]


def test_openais_routes_are_as_ever(client: TestClient) -> None:
    assert client.get("/v1/models").json()["object"] == "list"
    error = client.post("/v1/chat/completions", json={}).json()["error"]
    assert error["param"] == "model"


def test_embeddings_of_a_chat_model_are_refused(client: TestClient) -> None:
    answer = client.post("/api/embed", json={"model": CHAT.name, "input": "a"})
    assert (answer.status_code, answer.json()) == (400, {"error": "served elsewhere"})


@pytest.mark.parametrize("in_s", [None, 1e12, 1e17, 1e308, math.inf])
def test_one_that_stays_for_longer_than_there_are_dates_has_the_last(in_s: float | None) -> None:
    assert leaves_at(in_s, 1e9) == "9999-12-31T23:59:59Z"
