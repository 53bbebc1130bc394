"""Speech out over HTTP, by the official SDK: streams, events, refusals, and a worker that dies."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from tests.contract.served import Server, serving
from tests.contract.subjects import HIBARI

TEXT = "It is half past nine. The train to Boston is late. We will wait for it here."
LONG = " ".join([TEXT] * 50)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(MODELS=HIBARI) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def asked(server: Server, **more: Any) -> httpx2.Response:
    body = {"model": HIBARI, "input": TEXT, **more}
    return httpx2.post(f"{server.url}/v1/audio/speech", json=body, timeout=60)


@contextlib.contextmanager
def begun(server: Server) -> Iterator[Iterator[bytes]]:
    """A long text that is being spoken: its file, piece by piece."""
    body = {"model": HIBARI, "input": LONG}
    with httpx2.stream("POST", f"{server.url}/v1/audio/speech", json=body, timeout=60) as answer:
        yield answer.iter_raw()


def test_a_file_is_streamed_to_the_sdk(client: OpenAI, tmp_path: Path) -> None:
    with client.audio.speech.with_streaming_response.create(
        model=HIBARI, voice="alloy", input=TEXT, response_format="wav"
    ) as answer:
        pieces = list(answer.iter_bytes())
    assert len(pieces) > 1
    file = tmp_path / "said.mp3"
    client.audio.speech.create(model=HIBARI, voice="heart", input=TEXT).write_to_file(file)
    assert file.stat().st_size > 10_000


def test_the_deltas_of_a_stream_are_the_file(server: Server) -> None:
    whole = asked(server, response_format="pcm").content
    text = asked(server, response_format="pcm", stream_format="sse").text
    *deltas, done = [json.loads(data) for data in re.findall(r"^data: (.*)$", text, re.MULTILINE)]
    assert b"".join(base64.b64decode(delta["audio"]) for delta in deltas) == whole
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["output_tokens"] > done["usage"]["input_tokens"] > len(TEXT) / 2


def test_voices_are_listed_and_another_is_refused_with_them(server: Server, client: OpenAI) -> None:
    listed = httpx2.get(f"{server.url}/v1/audio/voices", timeout=60).json()["voices"]
    assert {voice["model"] for voice in listed} == {HIBARI}
    assert "alloy" in listed[0]["aliases"]
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.speech.create(model=HIBARI, voice="nobody", input=TEXT)
    assert refused.value.param == "voice"
    assert listed[0]["id"] in refused.value.message


def test_what_would_be_silent_is_an_error_and_no_file(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="nothing would be heard"):
        client.audio.speech.create(model=HIBARI, voice="alloy", input="你好")


def test_a_client_that_leaves_ends_the_work(server: Server) -> None:
    with begun(server) as pieces:
        next(pieces)
    assert asked(server).status_code == 200
    server.wait_until(lambda: replica(server)["in_flight"] == 0)  # told by a heartbeat


def test_a_worker_that_dies_breaks_the_file_off(server: Server) -> None:
    """A file has no place to say why; a stream of events says it."""
    with begun(server) as pieces:
        next(pieces)
        os.kill(replica(server)["pid"], signal.SIGKILL)
        with pytest.raises(httpx2.RemoteProtocolError):
            list(pieces)
    server.wait_ready()
    assert asked(server).status_code == 200


def replica(server: Server) -> dict[str, Any]:
    (model,) = server.models()
    found: dict[str, Any] = model["replicas"][0]
    return found
