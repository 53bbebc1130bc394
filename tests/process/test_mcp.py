"""The official SDK's client against a running server, by both forms of the protocol."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from ipc.facts.samples import tone_wav
from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.process.box import CHAT, DEADLINE_S, EMBED, SPEECH, Box, MakeBox, spec, wait_until

MODES = ("legacy", "2026-07-28")
SLOW = "/slow 200 " + "word " * 500  # longer than any deadline here
KEYS = {"ann": ApiKey.of("sesame"), "root": ApiKey.of("open", role="admin")}


@pytest.fixture(scope="module")
def box(module_box: MakeBox) -> Box:
    return module_box(spec(CHAT, slots=4), spec(EMBED), spec(SPEECH)).wait_ready()


@pytest.fixture(scope="module")
def guarded(module_box: MakeBox) -> Box:
    box = module_box(spec(CHAT), gate=AccessConfig(api_keys=KEYS))
    wait_until(lambda: box.ask("/livez") == 200)
    return box


@asynccontextmanager
async def connected(box: Box, mode: Any, key: str | None = None) -> AsyncIterator[Client]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{box.url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


def with_client(box: Box, mode: str, act: Callable[[Client], Awaitable[Any]], key: str = "") -> Any:
    async def run() -> Any:
        async with connected(box, mode, key or None) as client:
            return await act(client)

    return anyio.run(run)


def last(box: Box) -> dict[str, Any]:
    """The newest request for a model."""
    found: dict[str, Any] = box.client.get("/admin/requests").json()["requests"][0]
    return found


def text(result: Any) -> str:
    assert not result.is_error, result
    return "".join(part.text for part in result.content if part.type == "text")


@pytest.mark.parametrize("mode", [*MODES, "auto"])
def test_tools_are_listed_and_called(box: Box, mode: str) -> None:
    async def act(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"list_models", "chat", "transcribe", "embed", "health", "log"} <= set(tools)
        assert "speak" not in tools
        assert text(await client.call_tool("chat", {"prompt": "Good day"})) == "Good day"
        vectors = await client.call_tool("embed", {"input": ["a", "b"]})
        assert vectors.structured_content is not None
        assert len(vectors.structured_content["data"]) == 2
        models = await client.call_tool("list_models", {})
        assert models.structured_content is not None
        assert models.structured_content["data"][0]["id"] == CHAT

    with_client(box, mode, act)


@pytest.mark.parametrize("mode", MODES)
def test_a_recording_is_heard(box: Box, mode: str) -> None:
    audio = base64.b64encode(tone_wav(1.0)).decode()

    async def act(client: Client) -> Any:
        return await client.call_tool("transcribe", {"audio": audio})

    text(with_client(box, mode, act))
    # The record is at its end after the answer.
    wait_until(lambda: last(box)["status"] == 200)
    assert last(box)["path"] == "/v1/audio/transcriptions"


@pytest.mark.parametrize("mode", MODES)
def test_a_call_that_is_given_up_ends_its_work(box: Box, mode: str) -> None:
    def busy() -> bool:
        found: Any = box.client.get(f"/admin/models/{CHAT}").json()["jobs"]
        return bool(found["in_hand"] or found["waiting"])

    async def act(client: Client) -> None:
        async with anyio.create_task_group() as calls:
            calls.start_soon(client.call_tool, "chat", {"prompt": SLOW})
            await anyio.to_thread.run_sync(lambda: wait_until(busy))
            calls.cancel_scope.cancel()
        # Before the client goes, which would end it too.
        await anyio.to_thread.run_sync(lambda: wait_until(lambda: not busy()))

    with_client(box, mode, act)
    wait_until(lambda: last(box)["error"] == "client_closed_request")


def test_a_call_is_called_off_by_another_request(box: Box) -> None:
    session = {"mcp-session-id": "mine", "x-request-id": "mcp-1"}
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "method": "tools/call"}
    body["params"] = {"name": "chat", "arguments": {"prompt": SLOW}}
    note: dict[str, Any] = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
    note["params"] = {"requestId": 7}
    with ThreadPoolExecutor() as pool:
        call = pool.submit(box.client.post, "/mcp", json=body, headers=session)
        wait_until(lambda: last(box)["id"] == "mcp-1" and last(box)["stage"] == "answering")
        other = {"mcp-session-id": "another's"}
        assert box.client.post("/mcp", json=note, headers=other).status_code == 202
        assert not call.done()
        assert box.client.post("/mcp", json=note, headers=session).status_code == 202
        error = call.result(DEADLINE_S).json()["error"]
    assert (error["code"], error["message"]) == (-32800, "the call was called off")


@pytest.mark.parametrize("mode", MODES)
def test_operators_see_more(guarded: Box, mode: str) -> None:
    async def names(client: Client) -> set[str]:
        return {tool.name for tool in (await client.list_tools()).tools}

    async def logged(client: Client) -> Any:
        return await client.call_tool("log", {"process": "frontend", "tail": 5})

    assert "log" not in with_client(guarded, mode, names, "sesame")
    assert "log" in with_client(guarded, mode, names, "open")
    refused = with_client(guarded, mode, logged, "sesame")
    assert (refused.is_error, refused.content[0].text[:14]) == (True, "admin_required")
    assert text(with_client(guarded, mode, logged, "open"))
