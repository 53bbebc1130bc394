"""What this server says of itself to whoever finds it."""

from __future__ import annotations

from starlette.testclient import TestClient

from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.unit.frontend.http_fakes import FakeDispatcher, application

GATE = AccessConfig(api_keys={"ann": ApiKey.of("sesame")})


def test_programs_find_the_models_and_the_apis() -> None:
    card = TestClient(application(FakeDispatcher(), ollama=True)).get(
        "/.well-known/edge-serve.json"
    )
    told = card.json()
    assert (told["keys"], told["apis"]) == (False, ["openai", "anthropic", "ollama"])
    assert {"id": "org/chat", "task": "chat", "path": "/v1/chat/completions"} in told["models"]


def test_language_models_find_a_text() -> None:
    lines = TestClient(application(FakeDispatcher())).get("/llms.txt").text.splitlines()
    assert lines[0] == "# edge-serve"
    assert "- org/embed: text-embedding, at /v1/embeddings" in lines
    assert not [line for line in lines if "API key" in line]


def test_with_keys_it_is_told_to_who_has_one() -> None:
    client = TestClient(application(FakeDispatcher(), gate=GATE))
    for path in ("/llms.txt", "/.well-known/edge-serve.json"):
        assert client.get(path).status_code == 401
    text = client.get("/llms.txt", headers={"authorization": "Bearer sesame"}).text
    assert "Requests need an API key" in text
