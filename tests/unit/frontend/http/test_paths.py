"""Which path a request is for, and what is said of one that leads nowhere."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message

from frontend.http.paths import COVERED, Unserved, plain, why
from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.unit.frontend.http_fakes import FakeDispatcher, application

SERVED = [("POST", "/v1/chat/completions"), ("POST", "/rerank"), ("GET", "/v1/models")]
HAS = "this server has POST /v1/chat/completions, /rerank; GET /v1/models"
KEY = "sk-key-of-the-test"
KEYS = AccessConfig(api_keys={"ann": ApiKey.of(KEY)})


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/", "/"),
        ("/livez", "/livez"),
        ("/v1/models/", "/v1/models"),
        ("/v1/models///", "/v1/models"),
        ("//v1/models", "/v1/models"),
        ("/v1//chat///completions/", "/v1/chat/completions"),
        ("//", "/"),
        ("", ""),
        ("*", "*"),
        ("/v1/../livez", "/v1/../livez"),
        ("/v1/./models", "/v1/./models"),
    ],
)
def test_slashes_too_many_make_no_difference(given: str, path: str) -> None:
    assert plain(given) == path
    assert plain(plain(given)) == path


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/nowhere", f"POST /nowhere is not served; {HAS}"),
        ("/v1/images/edits", f"is a route of OpenAI's API that is not built here; {HAS}"),
        ("/v1/responses/compact", "a route of OpenAI's API that is not built here"),
        ("/v1/messages/batches", "a route of Anthropic's API that is not built here"),
        ("/api/chat", "a route of Ollama's API, which is off here; OLLAMA_API=true turns it on"),
        ("/api/v1/chat", "a route of LM Studio's API that is not built here"),
        ("/api/inflight/m", "a route of llama-swap's API that is not built here"),
        ("/lora-adapters", "a route of llama.cpp's server that is not built here"),
        ("/pooling", "a route of vLLM that is not built here"),
        ("/v1/chat/completions/chatcmpl-1", "a route of OpenAI's API that is not built here"),
        ("/v1/audiobooks", "POST /v1/audiobooks is not served"),
        ("/chat/completions", "did you mean /v1/chat/completions?"),
        ("/v1/v1/chat/completions", "did you mean /v1/chat/completions?"),
        ("/openai/v1/chat/completions", "did you mean /v1/chat/completions?"),
        ("/V1/Chat/Completions", "did you mean /v1/chat/completions?"),
        ("/v1/chat/completion", "is not served; did you mean /v1/chat/completions?"),
        ("/a\n\x1b[31m'\"\u2028é", r"""POST /a\n\x1b[31m\'"\u2028\xe9 is not served"""),
        ("/" + "y" * 9000, "y..."),
    ],
)  # fmt: skip
def test_what_is_not_served_is_told_with_what_is(path: str, told: str) -> None:
    words = why("POST", path, SERVED)
    assert told in words
    assert words.isascii()
    assert words.isprintable()
    assert len(words) < 500


def test_nothing_that_is_served_is_called_unbuilt() -> None:
    for route in application(FakeDispatcher()).routes:
        assert isinstance(route, Route)
        # Of the former the rest is not built; the latter are there to say that they are not.
        if route.path != "/v1/chat/completions" and route.path not in COVERED:
            assert "not built" not in why("POST", route.path.replace("{id:path}", "x"), [])


def test_a_404_names_method_and_path_and_what_is_served() -> None:
    with TestClient(application(FakeDispatcher())) as client:
        told = client.put("/v1/nothing").json()["error"]["message"]
    assert told.startswith("PUT /v1/nothing is not served; this server has ")
    for path in ("/v1/chat/completions", "/v1/models/{model}", "/livez"):
        assert path in told


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/", "//v1/models", "/v1//models//"])
def test_a_route_is_found_and_guarded_however_its_slashes_are_written(path: str) -> None:
    client = TestClient(application(FakeDispatcher(), gate=KEYS))
    assert client.get(f"http://testserver{path}").status_code == 401
    given = client.get(f"http://testserver{path}", headers={"x-api-key": KEY})
    assert (given.status_code, given.json()["object"]) == (200, "list")


def test_a_method_that_a_route_does_not_take_is_told_with_those_that_it_does() -> None:
    with TestClient(application(FakeDispatcher())) as client:
        answer = client.delete("/v1/models/org/chat/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json()["error"]["message"] == "/v1/models/org/chat takes GET, HEAD, not DELETE"


def test_the_server_as_a_whole_has_methods_too() -> None:
    served = Unserved([("GET", "/a"), ("POST", "/b")])
    scope = {"type": "http", "method": "OPTIONS", "path": "*"}
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(served(scope, cast(Any, None), send))
    assert sent[0]["status"] == 204
    assert dict(sent[0]["headers"])[b"allow"] == b"GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_root_says_what_this_is(method: str) -> None:
    with TestClient(application(FakeDispatcher())) as client:
        answer = client.request(method, "/")
    assert answer.status_code == 200
    assert answer.text.startswith("edge-serve: ") is (method == "GET")


def test_with_keys_the_root_tells_no_more_than_what_this_is() -> None:
    answer = TestClient(application(FakeDispatcher(), gate=KEYS)).get("/")
    assert answer.text.startswith("edge-serve: ")
    assert "ann" not in answer.text + repr(answer.headers)
