"""Tools are this server's routes, asked in the name of whoever calls them."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from ipc.messages.control import AccessConfig
from ipc.messages.errors import QueueFull
from ipc.messages.jobs import ChatInput, EmbedInput, SpeechInput
from ipc.messages.keys import ApiKey
from tests.unit.frontend.http_fakes import (
    FakeControl,
    FakeDispatcher,
    application,
    embeds,
    hears,
    report,
    says,
    silent,
)

KEYS = {"ann": ApiKey.of("sesame"), "root": ApiKey.of("open", role="admin")}
GATE = AccessConfig(api_keys=KEYS)
HERE = ("127.0.0.1", 5000)


def client(fake: FakeDispatcher, **changes: Any) -> TestClient:
    """Somebody on this machine."""
    app = application(fake, **changes)
    return TestClient(app, base_url="http://127.0.0.1", client=HERE)


def ask(client: TestClient, method: str, headers: Any = None, **params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    told = client.post("/mcp", json=body, headers=headers).json()
    assert told["id"] == 7
    return told


def call(client: TestClient, name: str, headers: Any = None, **arguments: Any) -> Any:
    return ask(client, "tools/call", headers, name=name, arguments=arguments)["result"]


def names(client: TestClient, headers: Any = None) -> list[str]:
    return [tool["name"] for tool in ask(client, "tools/list", headers)["result"]["tools"]]


def test_a_client_of_each_revision_is_greeted_by_it() -> None:
    asking = client(FakeDispatcher())
    for version in ("2024-11-05", "2025-06-18"):
        told = ask(asking, "initialize", protocolVersion=version)["result"]
        assert (told["protocolVersion"], told["capabilities"]) == (version, {"tools": {}})
    assert ask(asking, "initialize", protocolVersion="9")["result"]["protocolVersion"] == (
        "2025-11-25"
    )


def test_each_task_that_a_model_is_for_has_its_tool() -> None:
    fake = FakeDispatcher()
    found = {"list_models", "chat", "transcribe", "embed", "speak", "health"}
    assert set(names(client(fake))) == found | {"requests", "events", "box", "log"}
    del fake.specs["org/speak"]
    assert "speak" not in names(client(fake))


def test_what_a_tool_takes_names_the_models_for_it() -> None:
    tools = ask(client(FakeDispatcher()), "tools/list")["result"]["tools"]
    (chat,) = [tool["inputSchema"] for tool in tools if tool["name"] == "chat"]
    assert chat["properties"]["model"]["enum"] == ["org/chat"]
    assert chat["required"] == ["prompt"]
    assert chat["properties"]["temperature"] == {"type": "number", "minimum": 0, "maximum": 2}


def test_a_chat() -> None:
    fake = FakeDispatcher(says("Good ", "day"))
    told = call(client(fake), "chat", prompt="Hello", system="Be kind", max_tokens=9)
    assert told == {"content": [{"type": "text", "text": "Good day"}]}
    (asked,) = fake.asked
    assert isinstance(asked, ChatInput)
    assert [(one.role, one.content) for one in asked.messages] == [
        ("system", "Be kind"),
        ("user", "Hello"),
    ]
    assert asked.sampling.max_tokens == 9


def test_an_answer_that_was_cut_off_says_so() -> None:
    told = call(client(FakeDispatcher(says("And so", finish="length"))), "chat", prompt="Go on")
    assert [part["text"][:13] for part in told["content"]] == ["And so", "(The answer i"]


def test_vectors_and_transcripts() -> None:
    fake = FakeDispatcher(embeds(np.array([1, 0], np.float32).tobytes(), 1))
    told = call(client(fake), "embed", input=["a"])
    assert told["structuredContent"]["data"][0]["embedding"] == [1.0, 0.0]
    assert isinstance(fake.asked[0], EmbedInput)

    fake = FakeDispatcher(hears)
    audio = base64.b64encode(b"RIFF").decode()
    told = call(client(fake), "transcribe", audio=audio, language="en", filename="a b.wav")
    assert told == {"content": [{"type": "text", "text": "Hello there."}]}
    (asked,) = fake.asked
    assert isinstance(asked, SpeechInput)
    assert (bytes(asked.audio.data), asked.language) == (b"RIFF", "en")


def test_what_is_wrong_with_arguments_is_told_to_the_model() -> None:
    asking = client(FakeDispatcher())
    for name, arguments, words in (
        ("chat", {}, "`prompt` is required"),
        ("chat", {"prompt": "x", "max_tokens": 0}, "`max_tokens` must be at least 1"),
        ("transcribe", {"audio": "???"}, "`audio` must be base64"),
        ("embed", {"input": ["x"], "dimensions": -3}, "`dimensions` is unknown"),
        ("health", {"x": None}, "`x` is unknown"),
        ("health", 0, "`arguments` must be an object"),
        ("health", [], "`arguments` must be an object"),
    ):
        error = ask(asking, "tools/call", name=name, arguments=arguments)["error"]
        assert (error["code"], words in error["message"]) == (-32602, True)


@pytest.mark.parametrize(
    ("content", "code", "told_id"),
    [
        (b"{", -32700, None),
        (b"", -32700, None),
        (b'{"id": NaN}', -32700, None),
        (b"\xff\xfe{\0}\0", -32700, None),
        (b"[]", -32600, None),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600, None),
        (b'"ping"', -32600, None),
        (b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": [1], "method": "ping"}', -32600, None),
        (b'{"jsonrpc": "1.0", "id": "a", "method": "ping"}', -32600, "a"),
    ],
)
def test_what_is_no_message_is_told_as_json_rpc_has_it(
    content: bytes, code: int, told_id: object
) -> None:
    headers = {"content-type": "application/json"}
    told = client(FakeDispatcher()).post("/mcp", content=content, headers=headers)
    assert told.status_code == 400
    assert (told.json()["error"]["code"], told.json()["id"]) == (code, told_id)


def test_what_the_route_refuses_is_told_to_the_model() -> None:
    fake = FakeDispatcher(lambda stream: stream.abort(QueueFull("full")))
    told = call(client(fake), "chat", prompt="Hello")
    assert told["isError"]
    assert told["content"][0]["text"].startswith("rate_limit_exceeded: ")
    told = call(client(fake), "chat", prompt="Hello", model="org/none")
    assert (told["isError"], told["content"][0]["text"][:15]) == (True, "model_not_found")


def test_no_such_tool() -> None:
    assert ask(client(FakeDispatcher()), "tools/call", name="rm")["error"]["code"] == -32602
    assert ask(client(FakeDispatcher()), "resources/list")["error"]["code"] == -32601


def test_keys_hold_for_tools_as_for_routes() -> None:
    fake = FakeDispatcher(says("Hello"))
    asking = client(fake, gate=GATE)
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    refused = asking.post("/mcp", json=body)
    assert (refused.status_code, refused.json()["error"]["data"]["code"]) == (
        401,
        "invalid_api_key",
    )
    told = call(asking, "chat", {"authorization": "Bearer sesame"}, prompt="Hello")
    assert told["content"][0]["text"] == "Hello"
    assert [terms.client for terms in fake.terms] == ["ann"]


def test_operators_alone_have_their_tools() -> None:
    asking = client(FakeDispatcher(), control=FakeControl(report(chat="ready")), gate=GATE)
    user, admin = ({"x-api-key": secret} for secret in ("sesame", "open"))
    assert "box" not in names(asking, user)
    assert "box" in names(asking, admin)
    told = call(asking, "box", user)
    assert (told["isError"], told["content"][0]["text"][:14]) == (True, "admin_required")
    assert call(asking, "box", admin)["structuredContent"]["box"] == {"cpus": 2}


def test_a_stranger_without_keys_is_no_operator() -> None:
    app = application(FakeDispatcher())
    asking = TestClient(app, base_url="http://127.0.0.1", client=("192.0.2.1", 9))
    assert "box" not in names(asking)


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example", 403), ("http://127.0.0.1", 200), ("https://ok.example", 200)],
)
def test_pages_of_other_sites_are_kept_out(origin: str, status: int) -> None:
    gate = AccessConfig(cors_origins=["https://ok.example"])
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    told = client(FakeDispatcher(), gate=gate).post("/mcp", json=body, headers={"origin": origin})
    assert told.status_code == status


def test_a_notification_has_no_answer() -> None:
    body = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    told = client(FakeDispatcher()).post("/mcp", json=body)
    assert (told.status_code, told.content) == (202, b"")


def test_there_is_no_stream_to_open() -> None:
    assert client(FakeDispatcher()).get("/mcp").status_code == 405


def test_a_silence_is_filled_with_progress() -> None:
    fake = FakeDispatcher(silent)
    asking = client(fake, keepalive_s=0.01)
    params = {"name": "chat", "arguments": {"prompt": "x"}, "_meta": {"progressToken": 3}}
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    fake.script = _late
    told = asking.post("/mcp", json=body)
    events = [line for line in told.text.splitlines() if line.startswith("data: ")]
    assert told.headers["content-type"].startswith("text/event-stream")
    assert '"progressToken":3' in events[0]
    assert '"text":"At last"' in events[-1]


def _late(stream: Any) -> None:
    """An answer after some silence."""
    import asyncio

    asyncio.get_running_loop().call_later(0.1, says("At last"), stream)
