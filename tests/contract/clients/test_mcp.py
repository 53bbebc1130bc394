"""The official SDK of the Model Context Protocol against the default models."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from mcp import Client

from ipc.facts.samples import SENTENCE
from tests.contract.served import Running
from tests.contract.subjects import SMOLLM2


def with_client(server: Running, mode: Any, act: Callable[[Client], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with Client(f"{server.url}/mcp", mode=mode) as client:
            return await act(client)

    return anyio.run(run)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_model_is_asked(server: Running, mode: str) -> None:
    async def act(client: Client) -> Any:
        asked = {"prompt": "What is the capital of France?", "model": SMOLLM2}
        return await client.call_tool("chat", asked | {"max_tokens": 24, "temperature": 0})

    result = with_client(server, mode, act)
    assert not result.is_error
    assert "Paris" in result.content[0].text


def test_texts_are_embedded(server: Running) -> None:
    async def act(client: Client) -> Any:
        return await client.call_tool("embed", {"input": ["a cat", "a kitten"]})

    result = with_client(server, "auto", act)
    one, other = (each["embedding"] for each in result.structured_content["data"])
    assert len(one) == len(other) > 100
    assert sum(a * b for a, b in zip(one, other, strict=True)) > 0.5


def test_speech_is_written_down(server: Running) -> None:
    audio = base64.b64encode(SENTENCE.read_bytes()).decode()

    async def act(client: Client) -> Any:
        return await client.call_tool("transcribe", {"audio": audio, "language": "en"})

    assert "americans" in with_client(server, "auto", act).content[0].text.lower()
