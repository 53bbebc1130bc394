"""Clients that let nobody choose a model, by the configuration that docs/clients.md gives for them:
the requests of n8n, Flowise and Home Assistant, as their sources of 2026 send them."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import OpenAI
from openai.types.responses import ResponseCompletedEvent, ResponseStreamEvent

from tests.contract.served import Server, serving
from tests.contract.subjects import CHECKOUT, HIBARI, recording

_DOCUMENTED = re.compile(r"<!-- hard-coded names -->\n```yaml\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = _DOCUMENTED.search((CHECKOUT / "docs" / "clients.md").read_text())
    assert found is not None
    config: Path = tmp_path_factory.mktemp("config") / "models.yaml"
    config.write_text(found[1])
    with serving(EDGE_SERVE_CONFIG=str(config)) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=170
    ) as client:
        yield client


# --- n8n (nodes-langchain, vendors/OpenAi) and Flowise (components, speechToText, textToSpeech) ---


@pytest.mark.parametrize("more", [{}, {"language": "en", "temperature": "0.2", "prompt": "Ask."}])
@pytest.mark.parametrize("path", ["transcriptions", "translations"])
def test_whisper_1_writes_down(server: Server, path: str, more: dict[str, str]) -> None:
    """n8n and Flowise name it in their code."""
    heard = httpx2.post(
        f"{server.url}/v1/audio/{path}",
        data={"model": "whisper-1", **more},
        files={"file": ("audio.wav", recording("jfk.wav"), "audio/wav")},
        timeout=170,
    )
    assert "country" in heard.json()["text"]


@pytest.mark.parametrize("model", ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"])
def test_the_names_of_voices_and_of_what_speaks(client: OpenAI, model: str) -> None:
    """n8n offers the first two and six voices; Flowise names the third, for ten."""
    for voice in ("alloy", "shimmer"):
        said = client.audio.speech.create(
            model=model, voice=voice, input="Good morning.", response_format="mp3", speed=1
        )
        assert len(said.content) > 2_000


@pytest.mark.parametrize("model", ["text-embedding-3-small", "text-embedding-ada-002"])
def test_the_names_of_embeddings(client: OpenAI, model: str) -> None:
    """What n8n proposes, and Flowise's library where nothing else is said."""
    made = client.embeddings.create(model=model, input=["one", "two"])
    assert [len(one.embedding) for one in made.data] == [384, 384]


def test_they_are_listed(client: OpenAI) -> None:
    """n8n offers for embeddings what has `embed` in its name."""
    listed = {model.id for model in client.models.list()}
    assert {HIBARI, "tts-1", "whisper-1", "gpt-4o-mini"} <= listed
    assert {"text-embedding-3-small", "text-embedding-ada-002"} <= listed


# --- Home Assistant (core, components/openai_conversation at 2bba14fa) ---

_SYSTEM = {"type": "message", "role": "developer", "content": "You are a voice assistant."}
_ASKED = {"type": "message", "role": "user", "content": "turn on the lights in the kitchen"}
_CALL = {
    "type": "function_call",
    "name": "HassTurnOn",
    "arguments": '{"area": "kitchen"}',
    "call_id": "call_1",
}
_RESULT = {"type": "function_call_output", "call_id": "call_1", "output": '{"success": true}'}
_TOOL = {
    "type": "function",
    "name": "HassTurnOn",
    "description": "Turns on/opens/presses a device or entity.",
    "parameters": {
        "type": "object",
        "properties": {
            "area": {"type": "string"},
            "domain": {"type": "array", "items": {"type": "string"}},
        },
        "required": [],
    },
    "strict": False,
}
# As it makes them OpenAI's: `strict` stands within the schema.
_STRUCTURE = {
    "format": {
        "type": "json_schema",
        "name": "list_of_names",
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": ["integer", "null"]}},
            "required": ["name", "age"],
            "strict": True,
            "additionalProperties": False,
        },
    }
}


def asked(client: OpenAI, **more: Any) -> ResponseStreamEvent:
    """The last event of what Home Assistant asks for."""
    body: dict[str, Any] = {
        "model": "gpt-4o-mini",
        "input": [_SYSTEM, _ASKED],
        "max_output_tokens": 64,
        "user": "01KB0000000000000000000000",
        "store": False,
        "stream": True,
        "top_p": 1.0,
        "temperature": 1.0,
    }
    events: list[ResponseStreamEvent] = list(client.responses.create(**body | more))
    return events[-1]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"tools": [_TOOL]},
        {"tools": [_TOOL], "input": [_SYSTEM, _ASKED, _CALL, _RESULT]},
        {"text": _STRUCTURE},
        # Of models whose names it does not know.
        {"model": "HuggingFaceTB/SmolLM2-135M-Instruct", "prompt_cache_retention": "24h"},
        {"tools": [_TOOL, {"type": "web_search", "search_context_size": "medium"}]},
    ],
    ids=["talk", "tools", "result", "structure", "own name", "web search"],
)
def test_home_assistant_talks(client: OpenAI, more: dict[str, Any]) -> None:
    last = asked(client, **more)
    assert last.type in ("response.completed", "response.incomplete")
    assert isinstance(last, ResponseCompletedEvent) or last.response.incomplete_details
    assert last.response.usage is not None


@pytest.mark.parametrize("instructions", ["", "None"])
def test_home_assistant_hears_and_speaks(client: OpenAI, instructions: str) -> None:
    client.with_options(timeout=10.0).models.list()
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts",
        voice="marin",
        input="The lights in the kitchen are on.",
        instructions=instructions,
        speed=1.0,
        response_format="wav",
    ) as response:
        said = response.read()
    heard = client.audio.transcriptions.create(
        model="gpt-4o-mini-transcribe",
        file=("a.wav", said),
        response_format="json",
        language="en",
        prompt="The following conversation is a smart home user talking to Home Assistant.",
    )
    assert "kitchen" in heard.text.lower()


def test_home_assistant_adds_the_header_of_a_wav(client: OpenAI) -> None:
    """What a satellite sends is raw: 16 kHz, 16 bits, one channel."""
    file = io.BytesIO()
    with wave.open(io.BytesIO(recording("jfk.wav"))) as source, wave.open(file, "wb") as written:
        written.setparams(source.getparams())
        written.writeframes(source.readframes(source.getnframes()))
    heard = client.audio.transcriptions.create(
        model="gpt-4o-mini-transcribe", file=("a.wav", file.getvalue()), language="en"
    )
    assert "country" in heard.text
