"""The routes of Anthropic's API over HTTP: who may ask, how failures are told, what is counted."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from frontend.dispatch.stream import Stream
from ipc.messages.control import AccessConfig
from ipc.messages.errors import Draining, InternalError, QueueFull, ServeError, WorkerCrashed
from ipc.messages.events import Delta
from ipc.messages.jobs import Image, TokenizeInput
from ipc.messages.keys import ApiKey
from tests.unit.frontend.http_fakes import (
    CHAT,
    FakeDispatcher,
    FakeTokenizers,
    Script,
    application,
    counts,
    says,
)

KEY = "sk-of-the-test"
GATE = AccessConfig(api_keys={"ann": ApiKey.of(KEY)})
HI = {"model": "org/chat", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
SEES = msgspec.structs.replace(CHAT, vision=True)
MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"


def fails(error: ServeError, *texts: str) -> Script:
    def script(stream: Stream) -> None:
        for text in texts:
            stream.push(Delta("job", text), time.monotonic())
        stream.fail(error)

    return script


def post(
    path: str, body: Any, script: Script | None = None, headers: Any = None, **changes: Any
) -> Any:
    client = TestClient(application(FakeTokenizers(script or says("Hello")), **changes))
    return client.post(path, json=body, headers=headers)


@pytest.mark.parametrize("path", [MESSAGES, f"{MESSAGES}?beta=true", f"{MESSAGES}/"])
def test_a_message(path: str) -> None:
    versions = {"anthropic-version": "2099-01-01", "anthropic-beta": "a-2025-01-01,b"}
    answer = post(path, HI, headers=versions)
    assert answer.status_code == 200
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    assert answer.json()["content"] == [{"type": "text", "text": "Hello"}]


def test_a_stream() -> None:
    answer = post(MESSAGES, {**HI, "stream": True})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["request-id"]
    assert answer.text.startswith("event: message_start\n")
    assert answer.text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
@pytest.mark.parametrize("headers", [{"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}])
def test_a_key_comes_in_either_header(path: str, headers: dict[str, str]) -> None:
    script = counts(3) if path == COUNT else None
    assert post(path, HI, script, headers, gate=GATE).status_code == 200


def told(answer: Any) -> tuple[int, str]:
    body = answer.json()
    assert body.keys() == {"type", "error", "request_id"}
    assert body["error"].keys() == {"type", "message"}
    assert (body["type"], body["request_id"]) == ("error", answer.headers["request-id"])
    return answer.status_code, body["error"]["type"]


@pytest.mark.parametrize("path", [f"{MESSAGES}/batches", f"{MESSAGES}/batches/b/results"])
def test_what_is_not_built_says_so_in_the_form_of_the_api(path: str) -> None:
    answer = post(path, {})
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    assert "a route of Anthropic's API that is not built here" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
def test_refusals_have_the_form_of_the_api(path: str) -> None:
    assert told(post(path, {})) == (400, "invalid_request_error")
    assert told(post(path, HI, gate=GATE)) == (401, "authentication_error")
    hosts = AccessConfig(hosts=["box.lan"])
    assert told(post(path, HI, gate=hosts)) == (403, "permission_error")
    assert told(post(path, {**HI, "model": "claude-x"})) == (404, "not_found_error")
    assert told(post(path, HI, max_json_bytes=9)) == (413, "request_too_large")


def test_another_method_is_refused_so_too() -> None:
    with TestClient(application(FakeDispatcher())) as client:
        assert told(client.get(MESSAGES)) == (405, "invalid_request_error")


@pytest.mark.parametrize(
    ("error", "status", "kind", "headers"),
    [
        (QueueFull("busy", retry_after_s=7.0), 429, "rate_limit_error", {"retry-after": "7"}),
        (Draining("not now", retry_after_s=1.0), 503, "overloaded_error", {"retry-after": "1"}),
        (InternalError("it broke"), 500, "api_error", {"x-should-retry": "false"}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_failures_before_an_answer(
    error: ServeError, status: int, kind: str, headers: dict[str, str], stream: bool
) -> None:
    answer = post(MESSAGES, {**HI, "stream": stream}, fails(error))
    assert told(answer) == (status, kind)
    assert {name: answer.headers[name] for name in headers} == headers


def test_a_failure_within_a_stream_is_its_last_event() -> None:
    answer = post(MESSAGES, {**HI, "stream": True}, fails(WorkerCrashed("it died"), "Hel"))
    assert answer.status_code == 200
    *_, last, rest = answer.text.split("\n\n")
    assert rest == ""
    assert last.startswith('event: error\ndata: {"type":"error","error":{"type":"overloaded_error"')
    assert answer.headers["request-id"] in last


def test_tokens_are_counted_of_what_would_be_asked() -> None:
    body = {
        **HI,
        "system": "Be kind.",
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any"},
    }
    fake = FakeTokenizers(counts(42))
    with TestClient(application(fake)) as client:
        assert client.post(COUNT, json=body).json() == {"input_tokens": 42}
        fake.script = says("x")
        client.post(MESSAGES, json=body)
    counted, asked = fake.asked
    assert isinstance(counted, TokenizeInput)
    assert counted.chat is not None
    for fact in ("messages", "tools", "must_call", "template_args", "continues_last"):
        assert getattr(counted.chat, fact) == getattr(asked, fact)


def test_no_image_is_fetched_to_count_its_tokens() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    fake = FakeTokenizers(counts(1))
    fake.specs[CHAT.name] = SEES
    with TestClient(application(fake)) as client:
        answer = client.post(COUNT, json={**HI, "messages": [{"role": "user", "content": [image]}]})
    assert told(answer) == (400, "invalid_request_error")
    assert "not fetched to count tokens" in answer.json()["error"]["message"]


def test_images_are_the_jobs() -> None:
    data = "iVBORw0KGgoAAAANSUhEUg=="
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    fake = FakeTokenizers(says("a dot"))
    fake.specs[CHAT.name] = SEES
    with TestClient(application(fake)) as client:
        answer = client.post(
            MESSAGES, json={**HI, "messages": [{"role": "user", "content": [image]}]}
        )
    assert answer.status_code == 200
    (message,) = fake.asked[0].messages
    assert isinstance(message.content[0], Image)
