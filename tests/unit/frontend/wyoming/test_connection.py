"""Events in, events out: each order that clients have, and what is none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from frontend.dispatch.stream import Stream
from frontend.wyoming import connection
from frontend.wyoming.frames import MAX_LINE_BYTES, Event
from frontend.wyoming.server import MOST
from ipc.messages.blob import Blob
from ipc.messages.control import AccessConfig
from ipc.messages.errors import ContextTooLong, QueueFull, WorkerCrashed
from ipc.messages.events import Audio, Done, SpeakResult, Usage
from ipc.messages.jobs import ChatInput, SpeakInput, SpeechInput
from ipc.messages.keys import ApiKey
from tests.unit.frontend.http_fakes import FakeDispatcher, Script, hears, says, silent
from tests.unit.frontend.wyoming.talk import MONO, PATIENCE_S, Client, Listener, listening

SOUND = {"rate": 24_000, "width": 2, "channels": 1}


def speaks(*parts: bytes) -> Script:
    def script(stream: Stream) -> None:
        now = stream.dispatched_at = time.monotonic()
        for part in parts:
            stream.push(Audio("job", Blob(part)), now)
        stream.push(Done("job", SpeakResult(duration_s=1.0, left_out=0, usage=Usage())), now)

    return script


def fails(error: Exception) -> Script:
    def script(_: Stream) -> None:
        raise error

    return script


async def happens(what: Callable[[], Awaitable[bool]]) -> None:
    """Returns once it is so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await what():
                return
            await asyncio.sleep(0.01)


async def is_so(what: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return what()

    await happens(asked)


async def record(client: Client, samples: bytes = b"\1\0" * 80, **wish: Any) -> None:
    """A recording in the order of Home Assistant."""
    await client.send("transcribe", {"language": "en", **wish})
    await client.send("audio-start", {**MONO, "timestamp": 0})
    if samples:
        await client.send("audio-chunk", {**MONO, "timestamp": 0}, samples)
    await client.send("audio-stop", {"timestamp": 5})


def kinds(events: list[Event]) -> list[str]:
    return [event.type for event in events]


# --- hearing -------------------------------------------------------------------------------------


def test_a_recording_is_written_down_as_it_is_heard() -> None:
    fake = FakeDispatcher(hears)

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await record(client, transcript_names=["Ada"], transcript_terms=["loom", 7, "mill"])
            events = await client.until("transcript")
        assert kinds(events) == [
            *("transcript-start", "transcript-chunk", "transcript-stop", "transcript")
        ]
        assert events[1].data == {"text": " Hello there."}
        assert events[3].data == {"text": "Hello there.", "language": "en"}

    listening(fake, history)
    (asked,) = fake.asked
    assert isinstance(asked, SpeechInput)
    assert (asked.language, asked.prompt) == ("en", "Ada, loom, mill")
    assert asked.audio.data[:4] == b"RIFF"
    assert asked.audio.data[44:] == b"\1\0" * 80


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("pt-BR", "pt"),
        ("zh-CN", "zh"),
        ("nb", "no"),
        ("xx", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_a_language_is_reduced_to_what_the_model_knows(tag: Any, code: str | None) -> None:
    fake = FakeDispatcher(hears)

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await record(client, language=tag)
            assert (await client.until("transcript"))[-1].type == "transcript"

    listening(fake, history)
    assert fake.asked[0].language == code


def test_no_sound_between_start_and_stop_is_no_word_and_no_job() -> None:
    fake = FakeDispatcher(hears)

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await record(client, b"")
            assert (await client.until("transcript"))[-1].data["text"] == ""
            await record(client)  # and the connection serves on
            assert (await client.until("transcript"))[-1].data["text"] == "Hello there."

    listening(fake, history)
    assert len(fake.asked) == 1


def test_a_request_is_one_of_a_client_on_this_machine() -> None:
    """It is in the list of requests, and needs no key: who reaches the port may come in."""
    keys = AccessConfig(api_keys={"ann": ApiKey.of("sesame")}, hosts=["box.lan"])

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await record(client)
            assert (await client.until("transcript"))[-1].type == "transcript"
        ((_, ended),) = listener.kept.requests.registry.ended()
        assert (ended.path, ended.status) == ("/v1/audio/transcriptions", 200)
        assert ended.client == "127.0.0.1"

    listening(FakeDispatcher(hears), history, gate=keys)


# --- speaking ------------------------------------------------------------------------------------


def test_a_text_is_spoken() -> None:
    fake = FakeDispatcher(speaks(b"\1\2\3", b"\4\5", b"\6" * 40_001))

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await client.send("synthesize", {"text": "Hello.", "voice": {"name": "heart"}})
            events = await client.until("audio-stop")
        assert kinds(events[:2]) == ["audio-start", "audio-chunk"]
        assert all(event.data == SOUND for event in events[:-1])
        assert all(len(event.payload) % 2 == 0 for event in events)
        assert b"".join(event.payload for event in events) == b"\1\2\3\4\5" + b"\6" * 40_001

    listening(fake, history)
    assert fake.asked == [SpeakInput(text="Hello.", voice="heart", format="pcm")]


@pytest.mark.parametrize("text", ["", "... !"])
def test_a_text_without_a_word_is_spoken_as_no_sound(text: str) -> None:
    """Home Assistant would wait for ever for the end of what never begins."""
    fake = FakeDispatcher(speaks(b"\1\2"))

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await client.send("synthesize", {"text": text})
            assert kinds(await client.until("audio-stop")) == ["audio-start", "audio-stop"]

    listening(fake, history)
    assert fake.asked == []


def test_a_stream_is_spoken_by_the_sentence_and_once() -> None:
    """The whole text comes again in it, for servers that know no streams."""
    fake = FakeDispatcher(speaks(b"\1\2"))

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await client.send("synthesize-start", {"voice": {"language": "en-GB"}})
            await client.send("synthesize-chunk", {"text": "The lamp is on. It "})
            first = await client.until("audio-chunk")
            assert kinds(first) == ["audio-start", "audio-chunk"]
            await client.send("synthesize-chunk", {"text": "is late."})
            await client.send("synthesize", {"text": "The lamp is on. It is late."})
            await client.send("synthesize-stop")
            rest = await client.until("synthesize-stopped")
            assert kinds(rest) == ["audio-chunk", "audio-stop", "synthesize-stopped"]

    listening(fake, history)
    assert [asked.text for asked in fake.asked] == ["The lamp is on. ", "It is late."]


def test_the_whole_text_counts_where_no_chunk_has_come() -> None:
    fake = FakeDispatcher(speaks(b"\1\2"))

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await client.send("synthesize-start")
            await client.send("synthesize", {"text": "Hello."})
            await client.send("synthesize-stop")
            assert kinds(await client.until("synthesize-stopped"))[-1] == "synthesize-stopped"
            await client.send("synthesize-start")
            await client.send("synthesize-stop")
            assert kinds(await client.until("synthesize-stopped")) == ["synthesize-stopped"]

    listening(fake, history)
    assert [asked.text for asked in fake.asked] == ["Hello."]


def test_a_client_that_leaves_ends_what_is_done_for_it() -> None:
    fake = FakeDispatcher(silent)

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await client.send("synthesize", {"text": "A long text."})
            await is_so(lambda: bool(fake.asked))
        await is_so(lambda: bool(fake.cancelled))
        async with listener.client() as client:
            await client.send("audio-start", MONO)
            await client.send("audio-chunk", MONO, b"\0" * (1 << 19))
            await is_so(lambda: listener.budget.held_bytes > 0)
            client.writer.transport.abort()
        await is_so(lambda: listener.budget.held_bytes == 0)

    listening(fake, history)


# --- conversation --------------------------------------------------------------------------------


def test_a_conversation_goes_on_and_is_told_without_marks() -> None:
    fake = FakeDispatcher(says("It is **", "ten**. It", " is late."))
    context = {"conversation_id": "kitchen", "device_id": "x"}
    told = {"context": {"conversation_id": "kitchen"}}

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await client.send("transcript", {"text": "What time?", "context": context})
            events = await client.until("handled")
            assert [(event.type, event.data) for event in events] == [
                ("handled-start", told),
                ("handled-chunk", {"text": "It is ten. "}),
                ("handled-chunk", {"text": "It is late."}),
                ("handled-stop", {}),
                ("handled", {"text": "It is ten. It is late.", **told}),
            ]
        async with listener.client() as client:
            await client.send("transcript", {"text": "Sure?", "context": context})
            await client.until("handled")
            await client.send("transcript", {"text": "Alone", "language": "en"})
            await client.until("handled")

    listening(fake, history)
    first, second, alone = fake.asked
    assert isinstance(first, ChatInput)
    assert first.sampling.max_tokens == 100  # the model's own limit, which is below ours
    assert [message.text for message in second.messages] == [
        *("What time?", "It is **ten**. It is late.", "Sure?")
    ]
    assert [message.text for message in alone.messages] == ["Alone"]


def test_turns_that_the_model_cannot_read_are_left_out() -> None:
    answers = iter([says("one"), says("two"), says("three")])
    fake = FakeDispatcher()

    def script(stream: Stream) -> None:
        if len(fake.asked[-1].messages) > 3:
            raise ContextTooLong("too long")
        next(answers)(stream)

    fake.script = script

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            for text in ("a", "b", "c"):
                await client.send("transcript", {"text": text, "context": {"conversation_id": "1"}})
                assert (await client.until("handled"))[-1].type == "handled"

    listening(fake, history)
    assert [m.text for m in fake.asked[-1].messages] == ["c"]


# --- what is told, and what is refused -----------------------------------------------------------


def test_who_asks_is_told_what_there_is_while_models_are_at_work() -> None:
    fake = FakeDispatcher(silent)

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await client.send("synthesize", {"text": "Hello."})
            await client.send("ping", {"text": "are you there"})
            assert await client.read() == Event("pong", {"text": "are you there"})
            await client.send("describe")
            info = await client.read()
            assert info is not None
            assert [info.data[kind][0]["installed"] for kind in ("asr", "tts", "handle")] == [
                True
            ] * 3
            assert info.data["intent"] == []

    listening(fake, history)


def test_what_is_not_known_is_skipped() -> None:
    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await client.send("voice-started", {"timestamp": 1})
            await client.send("select-program", {"name": "other"})
            await client.send("ping", {"text": "x"})
            assert await client.read() == Event("pong", {"text": "x"})

    listening(FakeDispatcher(), history)


def test_what_is_said_back_is_a_text_however_deep_the_value() -> None:
    deep = b"[" * 300 + b"]" * 300  # it can be read, and not be written

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            client.writer.write(b'{"type": "ping", "data": {"text": %s}}\n' % deep)
            assert await client.read() == Event("pong", {"text": None})
            client.writer.write(b'{"type": "transcribe", "data": {"language": %s}}\n' % deep)
            await client.send("audio-start", MONO)
            await client.send("audio-stop")
            assert (await client.until("transcript"))[-1].data == {"text": ""}

    listening(FakeDispatcher(), history)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([("audio-stop", {}, b"")], "invalid_value"),
        ([("audio-start", MONO, b""), ("audio-start", MONO, b"")], "invalid_value"),
        ([("audio-start", {"rate": 16_000}, b"")], "invalid_value"),
        ([("audio-start", MONO, b""), ("audio-chunk", SOUND, b"\0\0")], "invalid_value"),
        ([("audio-chunk", MONO, b"\0" * (1 << 20))] * 2, "request_too_large"),
        ([("synthesize", {}, b"")], "invalid_value"),
        ([("synthesize", {"text": "<b/>", "text_format": "ssml"}, b"")], "invalid_value"),
        ([("synthesize-chunk", {"text": "x"}, b"")], "invalid_value"),
        ([("synthesize-stop", {}, b"")], "invalid_value"),
        ([("synthesize-start", {}, b"")] * 2, "invalid_value"),
        ([("transcript", {"text": None}, b"")], "invalid_value"),
        ([("synthesize", {"text": "x"}, b"")] * 12, "invalid_value"),
    ],
)
def test_what_must_not_be_asked_is_told_and_ends_the_connection(
    sent: list[tuple[str, dict[str, Any], bytes]], code: str
) -> None:
    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            for one in sent:
                await client.send(*one)
            *_, error = await client.until("never")
            assert (error.type, error.data["code"]) == ("error", code)
            assert error.data["text"]
        assert listener.budget.held_bytes == 0

    listening(FakeDispatcher(silent), history)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"x" * (MAX_LINE_BYTES * 3),
        b'{"type": "audio-chunk", "payload_length": 99999999999}\n',
        b"\0" * 1_000 + b"\n",
    ],
)
def test_who_speaks_something_else_is_told_and_the_next_one_served(sent: bytes) -> None:
    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            client.writer.write(sent)
            client.writer.write_eof()
            events = await client.until("never")
            assert kinds(events) in (["error"], [])
        async with listener.client() as client:
            await client.send("ping")
            assert (await client.until("pong"))[-1].type == "pong"

    listening(FakeDispatcher(), history)


@pytest.mark.parametrize("error", [QueueFull("full", retry_after_s=1), WorkerCrashed("gone")])
def test_an_error_of_the_route_is_told_in_its_words(error: Exception) -> None:
    async def history(listener: Listener) -> None:
        for kind, data in (("synthesize", {"text": "x"}), ("transcript", {"text": "x"})):
            async with listener.client() as client:
                await client.send(kind, data)
                told = (await client.until("never"))[-1]
                assert told.type == "error"
                assert told.data["code"] == getattr(error, "code", None)

    listening(FakeDispatcher(fails(error)), history)


def test_an_answer_that_breaks_off_has_no_end() -> None:
    def script(stream: Stream) -> None:
        stream.push(Audio("job", Blob(b"\1\2")), time.monotonic())
        stream.fail(WorkerCrashed("gone"))

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await client.send("synthesize", {"text": "x"})
            assert kinds(await client.until("never")) == ["audio-start", "audio-chunk", "error"]

    listening(FakeDispatcher(script), history)


def test_work_that_fails_while_the_client_is_read_from_ends_the_connection_in_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await client.send("synthesize", {"text": "x"})
            assert kinds(await client.until("never")) == ["error"]

    listening(FakeDispatcher(fails(QueueFull("full", retry_after_s=1))), history)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_no_more_clients_than_there_is_room_for() -> None:
    async def history(listener: Listener) -> None:
        clients = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(MOST)]
        for _, writer in clients:
            await Client(_, writer).send("ping")
            await Client(_, writer).until("pong")
        async with listener.client() as client:
            (told,) = await client.until("never")
            assert (told.type, told.data["code"]) == ("error", "unavailable")
        clients[0][1].close()

        async def served() -> bool:
            async with listener.client() as client:
                await client.send("ping")
                return (await client.until("pong"))[-1].type == "pong"

        await happens(served)
        for _, writer in clients:
            writer.close()

    listening(FakeDispatcher(), history)


def test_a_client_that_says_nothing_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENT_S", 0.05)
    monkeypatch.setattr(connection, "LINGER_S", 0.05)

    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            client.writer.write(b'{"type": ')
            (told,) = await client.until("never")
            assert told.data["code"] == "request_timeout"
        async with listener.client() as client:
            await client.send("synthesize-start")  # and nothing to be spoken
            (told,) = await client.until("never")
            assert told.data["code"] == "request_timeout"

    listening(FakeDispatcher(), history)


def test_the_end_of_the_server_parts_from_all() -> None:
    async def history(listener: Listener) -> None:
        async with listener.client() as client:
            await client.send("ping")
            await client.until("pong")
            await listener.server.end()
            assert await client.read() is None
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", listener.port)

    listening(FakeDispatcher(), history)
