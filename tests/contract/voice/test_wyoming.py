"""Voice assistants by the Wyoming protocol's own client, on the default models and a voice.

The calls of Home Assistant in their order, and what others have failed at.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeVoice,
)

from tests.contract.served import Server, serving
from tests.contract.subjects import HIBARI, SMOLLM2, WHISPER
from tests.ports import free_port

TEXT = "The train to Boston is late. We will wait for it here."
# As Home Assistant sends what a microphone hears.
RATE, WIDTH, CHANNELS, CHUNK_BYTES = 16_000, 2, 1, 2048
PATIENCE_S = 120.0


class Voice:
    """A running server and how to talk to it."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port

    def talk(self, history: Callable[[AsyncTcpClient], Awaitable[Any]]) -> Any:
        """What ``history`` finds on a connection of its own."""

        async def run() -> Any:
            async with asyncio.timeout(PATIENCE_S):
                async with AsyncTcpClient("127.0.0.1", self.port) as client:
                    return await history(client)

        return asyncio.run(run())

    def last(self) -> dict[str, Any]:
        """The newest request for a model."""
        answer = httpx2.get(f"{self.server.url}/admin/requests", timeout=PATIENCE_S)
        found: dict[str, Any] = answer.json()["requests"][0]
        return found


@pytest.fixture(scope="module")
def voice() -> Iterator[Voice]:
    port = free_port()
    with serving(MODELS=f"{SMOLLM2},{WHISPER},{HIBARI}", WYOMING_PORT=str(port)) as server:
        yield Voice(server, port)


@pytest.fixture(scope="module")
def spoken(voice: Voice) -> bytes:
    """`TEXT`, as a microphone of 16 kHz hears it."""
    body = {"model": HIBARI, "input": TEXT, "response_format": "pcm"}
    answer = httpx2.post(f"{voice.server.url}/v1/audio/speech", json=body, timeout=60)
    return slower(answer.content)


def slower(samples: bytes) -> bytes:
    """24 kHz as 16 kHz: two of three samples, each between its neighbours."""
    given = array("h", samples)
    found = array("h")
    for at in range(0, len(given) - 2, 3):
        found.extend((given[at], (given[at + 1] + given[at + 2]) // 2))
    return found.tobytes()


async def until(client: AsyncTcpClient, kind: str) -> list[Event]:
    found: list[Event] = []
    while (event := await client.read_event()) is not None:
        found.append(event)
        if event.type == kind:
            return found
    pytest.fail(f"the connection has ended after {[event.type for event in found]}")


async def record(client: AsyncTcpClient, samples: bytes, language: str = "en") -> None:
    """What Home Assistant's speech to text sends."""
    await client.write_event(Transcribe(language=language).event())
    await client.write_event(AudioStart(rate=RATE, width=WIDTH, channels=CHANNELS).event())
    for at in range(0, len(samples), CHUNK_BYTES):
        chunk = AudioChunk(RATE, WIDTH, CHANNELS, samples[at : at + CHUNK_BYTES])
        await client.write_event(chunk.event())
    await client.write_event(AudioStop().event())


async def transcript(client: AsyncTcpClient) -> str:
    """It reads until this, and skips all else."""
    return str((await until(client, "transcript"))[-1].data["text"])


def words(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == " ")


def heard(voice: Voice, samples: bytes) -> str:
    async def history(client: AsyncTcpClient) -> str:
        await record(client, samples)
        return await transcript(client)

    return words(voice.talk(history))


def test_what_there_is_is_described(voice: Voice) -> None:
    async def history(client: AsyncTcpClient) -> Info:
        await client.write_event(Describe().event())
        event = await client.read_event()
        assert event is not None
        return Info.from_event(event)

    info = voice.talk(history)
    assert [model.name for program in info.asr for model in program.models] == [WHISPER]
    assert "en" in info.asr[0].models[0].languages
    assert info.asr[0].installed
    assert "heart" in [one.name for one in info.tts[0].voices]
    assert {language for one in info.tts[0].voices for language in one.languages} == {"en"}
    assert info.handle[0].models[0].name == SMOLLM2
    assert [*info.intent, *info.wake, *info.mic, *info.snd] == []


def test_speech_is_written_down(voice: Voice, spoken: bytes) -> None:
    assert heard(voice, spoken) == words(TEXT)
    # The record is at its end after the answer.
    voice.server.wait_until(lambda: voice.last()["status"] == 200)
    assert voice.last()["path"] == "/v1/audio/transcriptions"


@pytest.mark.parametrize("language", ["en-US", "en_GB", "xx"])
def test_a_language_is_any_tag(voice: Voice, spoken: bytes, language: str) -> None:
    async def history(client: AsyncTcpClient) -> str:
        await record(client, spoken, language)
        return await transcript(client)

    assert words(voice.talk(history)) == words(TEXT)


@pytest.mark.parametrize(
    ("name", "samples"),
    [("nothing", b""), ("one sample", b"\0\0"), ("silence", b"\0" * RATE * 4)],
)
def test_where_nobody_speaks_there_are_no_words(voice: Voice, name: str, samples: bytes) -> None:
    assert heard(voice, samples) == "", name


async def sound(client: AsyncTcpClient, last: str) -> bytes:
    """As Home Assistant reads it: the format of the first ``audio-start`` holds for all."""
    events = await until(client, last)
    starts = [event for event in events if event.type == "audio-start"]
    assert len(starts) == 1
    assert events[0] is starts[0]
    assert starts[0].data == {"rate": 24_000, "width": 2, "channels": 1}
    return b"".join(event.payload or b"" for event in events if event.type == "audio-chunk")


def test_a_text_is_spoken(voice: Voice) -> None:
    async def history(client: AsyncTcpClient) -> bytes:
        await client.write_event(Synthesize(TEXT, voice=SynthesizeVoice(name="heart")).event())
        return await sound(client, "audio-stop")

    assert heard(voice, slower(voice.talk(history))) == words(TEXT)


def test_a_text_is_spoken_while_it_is_written(voice: Voice) -> None:
    """In the order of Home Assistant, with the whole text once more before the end."""

    async def history(client: AsyncTcpClient) -> bytes:
        await client.write_event(SynthesizeStart(voice=SynthesizeVoice(language="en")).event())
        first, rest = TEXT[:34], TEXT[34:]
        await client.write_event(SynthesizeChunk(first).event())
        begun = await until(client, "audio-chunk")
        await client.write_event(SynthesizeChunk(rest).event())
        await client.write_event(Synthesize(TEXT).event())
        await client.write_event(SynthesizeStop().event())
        events = [*begun, *await until(client, "synthesize-stopped")]
        assert [event.type for event in events].count("audio-start") == 1
        assert events[-2].type == "audio-stop"
        return b"".join(event.payload or b"" for event in events if event.type == "audio-chunk")

    assert heard(voice, slower(voice.talk(history))) == words(TEXT)


def test_a_long_text_is_heard_long_before_its_end(voice: Voice) -> None:
    """Home Assistant waits for 10 s."""

    async def history(client: AsyncTcpClient) -> tuple[float, float]:
        began_at = time.monotonic()
        await client.write_event(Synthesize(f"{TEXT} " * 20).event())
        await until(client, "audio-chunk")
        first_s = time.monotonic() - began_at
        await until(client, "audio-stop")
        return first_s, time.monotonic() - began_at

    first_s, whole_s = voice.talk(history)
    assert first_s < whole_s / 2


def test_a_client_that_leaves_ends_what_is_spoken(voice: Voice) -> None:
    async def history(client: AsyncTcpClient) -> None:
        await client.write_event(Synthesize(f"{TEXT} " * 70).event())
        await until(client, "audio-chunk")

    voice.talk(history)
    voice.server.wait_until(lambda: voice.last()["status"] == 499)
    assert voice.last()["path"] == "/v1/audio/speech"


def test_a_conversation_is_answered_and_goes_on(voice: Voice) -> None:
    context = {"conversation_id": "01J", "device_id": "d", "satellite_id": "s"}

    def asked(text: str) -> Event:
        return Event("transcript", {"text": text, "language": "en", "context": context})

    async def history(client: AsyncTcpClient) -> Event:
        await client.write_event(asked("What is the capital of France?"))
        return (await until(client, "handled"))[-1]

    first, again = voice.talk(history), voice.talk(history)
    assert first.data["text"].strip()
    assert first.data["context"] == again.data["context"] == {"conversation_id": "01J"}
