"""How long a turn of a voice assistant takes, stage by stage: hear, chat, speak.

    python -m tests.process.figures.voice_turn [--rounds 9]

A server of its own, with whisper-base, SmolLM2-135M and hibari, is asked in turns by the Wyoming
protocol as Home Assistant does it, each stage whole before the next; by the same protocol with the
answer handed to the voice sentence by sentence; and over HTTP. A question of some 3 s, spoken by
hibari, is sent as fast as it goes; times count from its last sample. Prints the medians, and the
least and the most of each.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import statistics
import time
import wave
from array import array
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import httpx2
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop

from tests.contract.served import serving
from tests.contract.subjects import HIBARI, SMOLLM2, WHISPER
from tests.ports import free_port

QUESTION = "Hello. I have one question. What is the capital of France?"
HEARD = {"rate": 16_000, "width": 2, "channels": 1}
CHUNK_BYTES = 2048
# As the protocol's face asks for them.
MAX_TOKENS = 200
STAGES = ("transcript", "first token", "first sound", "whole")

Stages = dict[str, float]


class Turn:
    """One turn of one client; times count from the end of the recording."""

    def __init__(self) -> None:
        self.stages: Stages = {}
        self.answer = ""
        self._began_at = 0.0

    def begin(self) -> None:
        self._began_at = time.perf_counter()

    def reach(self, stage: str) -> None:
        """The first time counts."""
        self.stages.setdefault(stage, time.perf_counter() - self._began_at)


class Client:
    """What asks one server."""

    def __init__(self, url: str, port: int, question: bytes) -> None:
        self._url = url
        self._port = port
        self._question = question

    def _connected(self) -> AbstractAsyncContextManager[AsyncTcpClient]:
        return AsyncTcpClient("127.0.0.1", self._port)

    async def whole(self, turn: Turn) -> None:
        """By Wyoming, each stage once the one before has ended."""
        text = await self._hear(turn)
        async with self._connected() as client:
            await client.write_event(Event("transcript", {"text": text}))
            await _until(client, "handled-start")
            turn.reach("first token")
            turn.answer = (await _until(client, "handled")).data["text"]
        async with self._connected() as client:
            await client.write_event(Synthesize(turn.answer).event())
            await _until(client, "audio-chunk")
            turn.reach("first sound")
            await _until(client, "audio-stop")

    async def streamed(self, turn: Turn) -> None:
        """By Wyoming, with each sentence of the answer spoken while the next is written."""
        text = await self._hear(turn)
        async with self._connected() as chat, self._connected() as voice:
            await chat.write_event(Event("transcript", {"text": text}))
            await asyncio.gather(self._write(chat, voice, turn), self._listen(voice, turn))

    async def _write(self, chat: AsyncTcpClient, voice: AsyncTcpClient, turn: Turn) -> None:
        await _until(chat, "handled-start")
        turn.reach("first token")
        await voice.write_event(SynthesizeStart().event())
        while (event := await chat.read_event()) is not None and event.type != "handled":
            if event.type == "handled-chunk":
                turn.answer += event.data["text"]
                await voice.write_event(SynthesizeChunk(event.data["text"]).event())
        await voice.write_event(SynthesizeStop().event())

    async def _listen(self, voice: AsyncTcpClient, turn: Turn) -> None:
        await _until(voice, "audio-chunk")
        turn.reach("first sound")
        await _until(voice, "synthesize-stopped")

    async def _hear(self, turn: Turn) -> str:
        async with self._connected() as client:
            await client.write_event(Transcribe(language="en").event())
            await client.write_event(AudioStart(**HEARD).event())
            for at in range(0, len(self._question), CHUNK_BYTES):
                chunk = AudioChunk(**HEARD, audio=self._question[at : at + CHUNK_BYTES])
                await client.write_event(chunk.event())
            turn.begin()
            await client.write_event(AudioStop().event())
            text = (await _until(client, "transcript")).data["text"]
            turn.reach("transcript")
            return str(text)

    async def http(self, turn: Turn) -> None:
        """The same over HTTP, each stage once the one before has ended."""
        async with httpx2.AsyncClient(base_url=self._url, timeout=60) as client:
            turn.begin()
            heard = await client.post(
                "/v1/audio/transcriptions",
                data={"model": WHISPER, "language": "en"},
                files={"file": ("question.wav", _wav(self._question))},
            )
            turn.reach("transcript")
            turn.answer = await self._chat(client, heard.json()["text"], turn)
            body = {"model": HIBARI, "input": turn.answer, "response_format": "pcm"}
            async with client.stream("POST", "/v1/audio/speech", json=body) as sound:
                async for _ in sound.aiter_raw():
                    turn.reach("first sound")

    async def _chat(self, client: httpx2.AsyncClient, text: str, turn: Turn) -> str:
        answer, messages = "", [{"role": "user", "content": text}]
        body = {"model": SMOLLM2, "messages": messages, "max_tokens": MAX_TOKENS, "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body) as events:
            async for line in events.aiter_lines():
                if line.startswith("data: {"):
                    turn.reach("first token")
                    (choice,) = json.loads(line[6:])["choices"]
                    answer += choice["delta"].get("content") or ""
        return answer


async def _until(client: AsyncTcpClient, kind: str) -> Event:
    while (event := await client.read_event()) is not None:
        if event.type == "error":
            raise RuntimeError(event.data["text"])
        if event.type == kind:
            return event
    raise RuntimeError(f"the connection has ended without {kind}")


def _wav(samples: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setframerate(HEARD["rate"])
        written.setsampwidth(HEARD["width"])
        written.setnchannels(HEARD["channels"])
        written.writeframes(samples)
    return file.getvalue()


def spoken(url: str) -> bytes:
    """`QUESTION` as a microphone of 16 kHz hears it: of 24 kHz two samples for three."""
    body = {"model": HIBARI, "input": QUESTION, "response_format": "pcm"}
    given = array("h", httpx2.post(f"{url}/v1/audio/speech", json=body, timeout=60).content)
    found = array("h")
    for at in range(0, len(given) - 2, 3):
        found.extend((given[at], (given[at + 1] + given[at + 2]) // 2))
    return found.tobytes()


async def timed(way: Callable[[Turn], Awaitable[None]]) -> Turn:
    turn = Turn()
    await way(turn)
    turn.reach("whole")
    return turn


async def measure(client: Client, rounds: int) -> dict[str, list[Turn]]:
    ways = {"Wyoming": client.whole, "Wyoming, streamed": client.streamed, "HTTP": client.http}
    for way in ways.values():
        await timed(way)
    found: dict[str, list[Turn]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(await timed(way))
    return found


def show(found: dict[str, list[Turn]]) -> None:
    print(f"| s from the end of the question | {' | '.join(STAGES)} | words of the answer |")
    print("| --- |" + " --- |" * (len(STAGES) + 1))
    for name, turns in found.items():
        cells = []
        for stage in STAGES:
            times = [turn.stages[stage] for turn in turns]
            cells.append(f"{statistics.median(times):.2f} ({min(times):.2f}, {max(times):.2f})")
        words = statistics.median(len(turn.answer.split()) for turn in turns)
        print(f"| {name} | {' | '.join(cells)} | {words:g} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    port = free_port()
    with serving(MODELS=f"{SMOLLM2},{WHISPER},{HIBARI}", WYOMING_PORT=str(port)) as server:
        question = spoken(server.url)
        seconds = len(question) / HEARD["rate"] / HEARD["width"]
        print(f"question of {seconds:.1f} s, {rounds} rounds in turns")
        show(asyncio.run(measure(Client(server.url, port, question), rounds)))


if __name__ == "__main__":
    main()
