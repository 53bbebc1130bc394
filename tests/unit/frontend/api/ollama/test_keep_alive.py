"""How long clients have a model kept: Ollama's keep_alive, LM Studio's ttl."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from frontend.api.ollama.keep_alive import seconds_of
from frontend.dispatch.stream import Stream
from ipc.messages.events import Done, TokenizeResult
from ipc.messages.jobs import TokenizeInput
from ipc.messages.state import ModelState
from tests.unit.frontend.http_fakes import (
    CHAT,
    FakeControl,
    FakeDispatcher,
    application,
    embeds,
    report,
    says,
)

HI: dict[str, Any] = {"model": "org/chat", "messages": [{"role": "user", "content": "hi"}]}
DAY_S = 86_400.0


@pytest.fixture
def fake() -> FakeDispatcher:
    return FakeDispatcher(says("hi"))


@pytest.fixture
def client(fake: FakeDispatcher) -> Iterator[TestClient]:
    with TestClient(application(fake, ollama=True)) as client:
        yield client


@pytest.fixture
def admin(fake: FakeDispatcher) -> Iterator[TestClient]:
    with TestClient(application(fake, ollama=True), client=("127.0.0.1", 9)) as client:
        yield client


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (None, None),
        (90, 90),
        (-1, -1),
        (0, 0),
        ("0", 0),
        ("5m", 300),
        ("1h30m", 5400),
        ("-1s", -1),
        ("1.5s", 1.5),
        ("250ms", 0.25),
    ],
)
def test_a_time_is_a_number_of_seconds_or_a_duration(asked: Any, seconds: float | None) -> None:
    assert seconds_of(asked) == seconds


@pytest.mark.parametrize(
    ("asked", "kept_s"),
    [
        ({}, None),
        ({"keep_alive": "10m"}, 600),
        ({"keep_alive": -1}, DAY_S),
        ({"keep_alive": "48h"}, DAY_S),
        ({"keep_alive": 0}, 0),
    ],
)
def test_a_client_has_its_model_kept_but_not_for_ever(
    client: TestClient, fake: FakeDispatcher, asked: dict[str, Any], kept_s: float | None
) -> None:
    assert client.post("/api/chat", json={**HI, **asked}).status_code == 200
    generate = {"model": "org/chat", "prompt": "hi", **asked}
    assert client.post("/api/generate", json=generate).status_code == 200
    assert [terms.keep_alive_s for terms in fake.terms] == [kept_s, kept_s]


def test_an_admin_may_have_it_kept_for_ever(admin: TestClient, fake: FakeDispatcher) -> None:
    assert admin.post("/api/chat", json={**HI, "keep_alive": -1}).status_code == 200
    assert fake.terms[0].keep_alive_s == -1


def test_a_model_for_embeddings_is_kept_too(client: TestClient, fake: FakeDispatcher) -> None:
    fake.script = embeds(np.array([[3, 4]], dtype="<f4").tobytes(), 1)
    for path, text in (("/api/embed", "input"), ("/api/embeddings", "prompt")):
        body = {"model": "org/embed", text: "hi", "keep_alive": "1m"}
        assert client.post(path, json=body).status_code == 200
    assert [terms.keep_alive_s for terms in fake.terms] == [60, 60]


def test_lm_studios_ttl_keeps_a_model(client: TestClient, fake: FakeDispatcher) -> None:
    assert client.post("/v1/chat/completions", json={**HI, "ttl": 300}).status_code == 200
    assert fake.terms[0].keep_alive_s == 300
    assert client.post("/v1/chat/completions", json={**HI, "ttl": -1}).status_code == 400


def tokenizes(stream: Stream) -> None:
    stream.push(Done("job", TokenizeResult(rows=[[]])), time.monotonic())


@pytest.mark.parametrize(
    ("state", "keep_alive", "reason", "is_asked"),
    [
        ("ready", "5m", "load", True),  # nothing but how long it stays
        ("ready", 0, "unload", True),
        ("unloaded", 0, "unload", False),
        ("unloaded", "5m", "load", True),
        ("ready", None, "load", False),
    ],
)
def test_nothing_to_answer_has_a_model_loaded_kept_or_unloaded(
    client: TestClient,
    fake: FakeDispatcher,
    monkeypatch: pytest.MonkeyPatch,
    state: Any,
    keep_alive: Any,
    reason: str,
    is_asked: bool,
) -> None:
    rare = msgspec.structs.replace(CHAT, load="on_demand")
    monkeypatch.setattr(fake, "spec", lambda _name, _task: rare)
    stands = ModelState(name="org/chat", routes=[], state=state, was_ready=True)
    monkeypatch.setattr(fake, "state", lambda _name: stands)
    fake.script = tokenizes
    body = {"model": "org/chat", "keep_alive": keep_alive}
    answer = client.post("/api/generate", json=body)
    assert orjson.loads(answer.content)["done_reason"] == reason
    assert fake.asked == ([TokenizeInput(texts=[""])] if is_asked else [])
    assert [terms.keep_alive_s for terms in fake.terms] == (
        [seconds_of(keep_alive)] if is_asked else []
    )


@pytest.mark.parametrize(
    ("load", "pinned", "state", "reason"),
    [
        ("always", False, "ready", "load"),
        ("never", False, "ready", "load"),
        ("never", False, "unloaded", "unload"),
        ("on_demand", True, "ready", "load"),
        ("on_demand", False, "ready", "unload"),
    ],
)
def test_a_model_that_stays_is_not_said_to_leave(
    fake: FakeDispatcher,
    monkeypatch: pytest.MonkeyPatch,
    load: Any,
    pinned: bool,
    state: Any,
    reason: str,
) -> None:
    monkeypatch.setattr(fake, "spec", lambda _name, _task: msgspec.structs.replace(CHAT, load=load))
    stands = ModelState(name="org/chat", routes=[], state=state, was_ready=True)
    monkeypatch.setattr(fake, "state", lambda _name: stands)
    fake.script = tokenizes
    known = report(chat=state)
    known["models"][0]["pinned"] = pinned
    with TestClient(application(fake, FakeControl(known), ollama=True)) as client:
        for path in ("/api/generate", "/api/chat"):
            answer = client.post(path, json={"model": "org/chat", "keep_alive": 0})
            assert orjson.loads(answer.content)["done_reason"] == reason


def waited(stream_of: Callable[[Stream], None]) -> Callable[[Stream], None]:
    def script(stream: Stream) -> None:
        stream.load_s = 2.5
        stream_of(stream)

    return script


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_tells_how_long_it_waited_for_a_load(
    client: TestClient, fake: FakeDispatcher, stream: bool
) -> None:
    fake.script = waited(says("hi"))
    answer = client.post("/api/chat", json={**HI, "stream": stream})
    assert orjson.loads(answer.content.splitlines()[-1])["load_duration"] == 2_500_000_000


def test_vectors_tell_it_too(client: TestClient, fake: FakeDispatcher) -> None:
    fake.script = waited(embeds(np.array([[3, 4]], dtype="<f4").tobytes(), 1))
    answer = client.post("/api/embed", json={"model": "org/embed", "input": "hi"})
    assert answer.json()["load_duration"] == 2_500_000_000
