"""Speech over HTTP: files, events, refusals, and what becomes of one that breaks off."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from frontend.api.audio.sound import AudioForm, SoundEvents
from frontend.dispatch.stream import Stream
from ipc.messages.blob import Blob
from ipc.messages.errors import InternalError, InvalidRequest, WorkerCrashed
from ipc.messages.events import Audio, Delta, Done, SpeakResult, Usage
from ipc.messages.jobs import SpeakInput
from ipc.messages.spec import Loaded, Voice
from ipc.messages.state import ModelState
from tests.unit.frontend.http_fakes import FakeDispatcher, Script, application

HI = {"model": "org/speak", "input": "Hi there.", "voice": "ann"}
RESULT = SpeakResult(duration_s=0.5, left_out=2, usage=Usage(prompt_tokens=9, completion_tokens=40))


def speaks(*pieces: bytes) -> Script:
    """A job whose sound has come by the time anyone looks."""

    def script(stream: Stream) -> None:
        now = stream.dispatched_at = time.monotonic()
        for piece in pieces:
            stream.push(Audio(job="job", data=Blob(piece)), now)
        stream.push(Done("job", RESULT), now)

    return script


def breaks(*pieces: bytes) -> Script:
    """One whose worker is gone after ``pieces``."""

    def script(stream: Stream) -> None:
        for piece in pieces:
            stream.push(Audio(job="job", data=Blob(piece)), time.monotonic())
        stream.fail(WorkerCrashed("the worker has gone"))

    return script


@pytest.fixture
def fake() -> FakeDispatcher:
    return FakeDispatcher(speaks(b"one", b"two"))


@pytest.fixture
def client(fake: FakeDispatcher) -> TestClient:
    return TestClient(application(fake))


def events(text: str) -> list[dict[str, Any]]:
    return [orjson.loads(data) for data in re.findall(r"^data: (.*)$", text, re.MULTILINE)]


def test_a_file_is_what_the_worker_sent(client: TestClient, fake: FakeDispatcher) -> None:
    answer = client.post("/v1/audio/speech", json=HI)
    assert (answer.status_code, answer.content) == (200, b"onetwo")
    assert answer.headers["content-type"] == "audio/mpeg"
    assert fake.asked == [SpeakInput(text="Hi there.", voice="ann", speed=1.0, format="mp3")]


@pytest.mark.parametrize(
    ("asked", "job"),
    [
        ({"voice": {"id": "ann"}}, SpeakInput(text="Hi there.", voice="ann")),
        ({"voice": None}, SpeakInput(text="Hi there.")),
        ({"speed": 4}, SpeakInput(text="Hi there.", voice="ann", speed=4.0)),
        ({"response_format": "pcm"}, SpeakInput(text="Hi there.", voice="ann", format="pcm")),
        ({"instructions": "", "stream": True}, SpeakInput(text="Hi there.", voice="ann")),
        ({"input": "x" * 4096}, SpeakInput(text="x" * 4096, voice="ann")),
    ],
)
def test_what_is_asked_becomes_the_job(
    client: TestClient, fake: FakeDispatcher, asked: dict[str, Any], job: SpeakInput
) -> None:
    assert client.post("/v1/audio/speech", json={**HI, **asked}).status_code == 200
    assert fake.asked == [job]


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"input": "a\0b"}, "input"),
        ({"voice": ""}, "voice"),
        ({"voice": 7}, "voice"),
        ({"voice": {}}, "voice.id"),
        ({"speed": 0.24}, "speed"),
        ({"speed": 4.01}, "speed"),
        ({"response_format": "ogg"}, "response_format"),
        ({"stream_format": "ws"}, "stream_format"),
        ({"instructions": "Be happy."}, "instructions"),
        ({"seed": 3}, "seed"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    client: TestClient, fake: FakeDispatcher, asked: dict[str, Any], param: str
) -> None:
    answer = client.post("/v1/audio/speech", json={**HI, **asked})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert not fake.asked


def test_the_deltas_of_a_stream_are_the_file(client: TestClient, fake: FakeDispatcher) -> None:
    sound = bytes(range(256)) * 300
    fake.script = speaks(sound, b"end")
    answer = client.post("/v1/audio/speech", json={**HI, "stream_format": "sse"})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *deltas, done = events(answer.text)
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    pieces = [base64.b64decode(delta["audio"]) for delta in deltas]
    assert b"".join(pieces) == sound + b"end"
    assert max(map(len, pieces)) <= 32 << 10
    assert done == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 9, "output_tokens": 40, "total_tokens": 49},
        "left_out_characters": 2,
    }


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_a_refusal_of_the_worker_s_is_an_ordinary_error(
    client: TestClient, fake: FakeDispatcher, stream_format: str
) -> None:
    refusal = InvalidRequest("no such voice", param="voice")
    fake.script = lambda stream: stream.fail(refusal)
    answer = client.post("/v1/audio/speech", json={**HI, "stream_format": stream_format})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "voice")


def test_a_stream_that_breaks_off_says_why(client: TestClient, fake: FakeDispatcher) -> None:
    fake.script = breaks(b"one")
    answer = client.post("/v1/audio/speech", json={**HI, "stream_format": "sse"})
    delta, error = events(answer.text)
    assert delta["type"] == "speech.audio.delta"
    assert error["error"]["code"] == "worker_crashed"


def test_a_file_that_breaks_off_has_no_end(fake: FakeDispatcher) -> None:
    """By which the server closes the connection: a client must not take it for whole."""
    fake.script = breaks(b"one")
    sent: list[Message] = []

    async def receive() -> Message:
        if not received:
            received.append(True)
            return {"type": "http.request", "body": orjson.dumps(HI), "more_body": False}
        return await asyncio.Future()

    async def send(message: Message) -> None:
        sent.append(message)

    received: list[bool] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/audio/speech",
        "raw_path": b"/v1/audio/speech",
        "query_string": b"",
        "scheme": "http",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "asgi": {"version": "3.0"},
    }
    asyncio.run(application(fake)(scope, receive, send))
    bodies = [message for message in sent if message["type"] == "http.response.body"]
    assert [message["body"] for message in bodies] == [b"one"]
    assert bodies[-1]["more_body"]


@pytest.mark.parametrize("form", [AudioForm("mp3"), SoundEvents()])
def test_text_has_no_place_in_speech(form: AudioForm | SoundEvents) -> None:
    with pytest.raises(InternalError, match="speech has no place for Delta"):
        form.render([Delta("job", "hello")])


def test_voices_are_those_of_all_models_that_speak(
    client: TestClient, fake: FakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def state(name: str) -> ModelState:
        voices = [Voice(name="ann", language="en-US", aliases=["alloy"])]
        loaded = None
        if is_loaded:
            loaded = Loaded(device="cpu", voices=voices if name == "org/speak" else None)
        return ModelState(name=name, routes=[], state="ready", loaded=loaded)

    monkeypatch.setattr(fake, "state", state)
    is_loaded = False
    assert client.get("/v1/audio/voices").json() == {"voices": [], "unloaded": ["org/speak"]}
    is_loaded = True
    ann = {"id": "ann", "name": "ann", "model": "org/speak", "language": "en-US"}
    assert client.get("/v1/audio/voices").json() == {
        "voices": [{**ann, "aliases": ["alloy"]}],
        "unloaded": [],
    }
    assert client.get("/v1/models/org/speak").json()["voices"] == ["ann"]
    assert client.get("/v1/models/org/chat").json()["voices"] is None
