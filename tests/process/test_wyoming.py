"""The Wyoming protocol on a running server, by its own client: faults, bounds, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping

from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.ports import free_port
from tests.process.box import CHAT, SPEECH, Box, MakeBox, spec, wait_until

SPEAK = "echo/speak"
PATIENCE_S = 60.0
SLOW = "/slow 200 " + "word " * 100  # twenty seconds
FORMAT = {"rate": 16_000, "width": 2, "channels": 1}


class Assistant:
    """A box with a port for voice assistants, which needs a key for all else."""

    def __init__(self, make_box: MakeBox, **plan: Any) -> None:
        self.port = free_port()
        specs = (spec(CHAT), spec(SPEECH), spec(SPEAK))
        self.box: Box = make_box(*specs, wyoming_port=self.port, **plan)

    def talk(self, history: Callable[[AsyncTcpClient], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            client = AsyncTcpClient("127.0.0.1", self.port)
            async with asyncio.timeout(PATIENCE_S):
                await client.connect()
                try:
                    return await history(client)
                finally:
                    with contextlib.suppress(ConnectionError):  # who was refused may be cut off
                        await client.disconnect()

        return asyncio.run(run())

    def ask(self, *events: Event, last: str) -> list[Event]:
        async def history(client: AsyncTcpClient) -> list[Event]:
            for event in events:
                await client.write_event(event)
            return await until(client, last)

        found: list[Event] = self.talk(history)
        return found

    def said(self, event: str) -> list[str]:
        return [line for line in self.box.lines() if event in line]


async def until(client: AsyncTcpClient, last: str) -> list[Event]:
    """All that comes, up to this or to the end."""
    found: list[Event] = []
    while (event := await client.read_event()) is not None:
        found.append(event)
        if event.type == last:
            break
    return found


@pytest.fixture(scope="module")
def assistant(module_box: MakeBox) -> Assistant:
    found = Assistant(module_box)
    found.box.wait_ready()
    return found


def chat(text: str, **more: Any) -> Event:
    return Event("transcript", {"text": text, **more})


def test_everything_is_answered_in_the_order_of_home_assistant(assistant: Assistant) -> None:
    (event,) = assistant.ask(Describe().event(), last="info")
    info = Info.from_event(event)
    assert [info.asr[0].models[0].name, info.handle[0].models[0].name] == [SPEECH, CHAT]
    assert info.tts[0].voices[0].name == "echo"
    *_, transcript = assistant.ask(
        Transcribe(language="en", transcript_names=["what the engine hears"]).event(),
        AudioStart(**FORMAT).event(),
        AudioChunk(**FORMAT, audio=b"\1\0" * 1600).event(),
        AudioStop().event(),
        last="transcript",
    )
    assert transcript.data["text"] == "what the engine hears"
    *_, handled = assistant.ask(chat("It is *late*."), last="handled")
    assert handled.data["text"] == "It is late."
    spoken = assistant.ask(Event("synthesize", {"text": "Hello there."}), last="audio-stop")
    assert b"".join(event.payload or b"" for event in spoken) == b"Hello there."


def test_models_are_told_while_they_load(make_box: MakeBox) -> None:
    """Home Assistant waits for a second."""
    assistant = Assistant(make_box)
    wait_until(lambda: assistant.box.ask("/livez") == 200)
    (event,) = assistant.ask(Describe().event(), last="info")
    assert Info.from_event(event).asr[0].models[0].name == SPEECH


def test_who_reaches_the_port_needs_no_key(make_box: MakeBox) -> None:
    """It has none; so it is not at the host of all else, but where it is said to be."""
    keys = AccessConfig(api_keys={"ann": ApiKey.of("sesame")})
    assistant = Assistant(make_box, gate=keys)
    wait_until(lambda: assistant.box.ask("/livez") == 200)
    wait_until(lambda: assistant.ask(chat("hi"), last="handled")[-1].type == "handled")
    assert assistant.box.chat("hi").status_code == 401


def test_a_client_that_leaves_ends_its_job(assistant: Assistant) -> None:
    async def history(client: AsyncTcpClient) -> None:
        await client.write_event(chat(SLOW))
        await until(client, "handled-start")

    assistant.talk(history)
    requests = assistant.box.client.get
    wait_until(lambda: requests("/admin/requests").json()["requests"][0]["status"] == 499)


def test_a_worker_that_dies_is_told(assistant: Assistant) -> None:
    async def history(client: AsyncTcpClient) -> None:
        await client.write_event(Event("synthesize", {"text": SLOW}))
        await until(client, "audio-chunk")
        assistant.box.kill(SPEAK)
        error = (await until(client, "error"))[-1]
        assert error.type == "error"
        assert await client.read_event() is None

    assistant.talk(history)
    assistant.box.wait_ready()


def test_hostile_bytes_cost_nobody_else_anything(assistant: Assistant) -> None:
    chance = random.Random(7)
    heads = [
        b'{"type": "audio-chunk", "payload_length": ',
        b'{"type": "',
        b"GET / HTTP/1.1\r\n",
        b"",
    ]
    for number in range(60):
        with socket.create_connection(("127.0.0.1", assistant.port), timeout=PATIENCE_S) as one:
            sent = heads[number % len(heads)] + chance.randbytes(chance.randrange(3000))
            one.sendall(sent)
            if number % 2:
                one.shutdown(socket.SHUT_WR)
                while one.recv(65_536):
                    pass
    with socket.create_connection(("127.0.0.1", assistant.port), timeout=PATIENCE_S) as one:
        one.sendall(b"x" * 200_000)
        assert b"request_too_large" in one.recv(65_536)
    (pong,) = assistant.ask(Ping(text="there?").event(), last="pong")
    assert pong.data == {"text": "there?"}
    assert not assistant.said("wyoming_failed")


def is_refused(assistant: Assistant) -> bool:
    """Who writes to a connection that is closed behind its error may not get to read that."""
    try:
        return assistant.ask(Ping().event(), last="pong")[-1].type == "error"
    except ConnectionResetError:
        return True


def test_no_more_than_sixteen_at_a_time(assistant: Assistant) -> None:
    wait_until(lambda: assistant.ask(Ping().event(), last="pong")[-1].type == "pong")
    address = ("127.0.0.1", assistant.port)
    clients = [socket.create_connection(address, timeout=PATIENCE_S) for _ in range(16)]
    wait_until(lambda: is_refused(assistant))
    for client in clients:
        client.close()
    wait_until(lambda: assistant.ask(Ping().event(), last="pong")[-1].type == "pong")
    assert assistant.said("wyoming_refused")


def test_a_stop_lets_what_is_said_be_said(make_box: MakeBox) -> None:
    assistant = Assistant(make_box)
    assistant.box.wait_ready()

    async def history(client: AsyncTcpClient) -> list[Event]:
        await client.write_event(chat("/slow 50 " + "word " * 20))
        await until(client, "handled-start")
        assistant.box.process.send_signal(signal.SIGTERM)
        return await until(client, "never")

    assert assistant.talk(history)[-1].type == "handled"
    assert assistant.box.process.wait(PATIENCE_S) == 0


def test_a_new_frontend_goes_on_listening(assistant: Assistant) -> None:
    (frontend,) = [one for one in assistant.box.family() if "frontend" in one.cmdline()]
    frontend.kill()
    (pong,) = assistant.ask(Ping(text="again").event(), last="pong")
    assert pong.data == {"text": "again"}
