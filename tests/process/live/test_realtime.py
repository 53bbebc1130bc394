"""/v1/realtime on the echo engine: whoever makes a noise says the words of the prompt."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from openai.types.realtime import (
    ConversationItemInputAudioTranscriptionCompletedEvent as Completed,
)
from openai.types.realtime import (
    ConversationItemInputAudioTranscriptionDeltaEvent as Delta,
)
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from websockets.typing import Subprotocol

from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.process.box import CHAT, SPEECH, Box, MakeBox, spec, wait_until

NOISE = base64.b64encode(b"\x01" * 4800).decode()  # 100 ms
SILENCE = base64.b64encode(bytes(4800)).decode()
TRANSCRIPTION = "conversation.item.input_audio_transcription"
TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def box(module_box: MakeBox) -> Box:
    return module_box(spec(SPEECH, slots=2), spec(CHAT)).wait_ready()


class Client:
    """One socket, by hand."""

    def __init__(self, socket: Connection) -> None:
        self.socket = socket

    def say(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def update(self, **session: Any) -> None:
        self.say("session.update", session={"type": "transcription", **session})

    def hear(self, kind: str | None = None) -> dict[str, Any]:
        """The next event, which is to be of this kind."""
        event: dict[str, Any] = json.loads(self.socket.recv(timeout=TIMEOUT_S))
        assert event.pop("event_id").startswith("event_")
        assert kind in (None, event["type"]), event
        return event

    def noise(self, *sounds: str) -> None:
        for sound in sounds:
            self.say("input_audio_buffer.append", audio=sound)


@contextmanager
def client(box: Box, query: str = f"?model={SPEECH}", **options: Any) -> Iterator[Client]:
    url = box.url.replace("http", "ws") + "/v1/realtime" + query
    # A busy machine is no reason to hang up.
    patience: dict[str, Any] = {"open_timeout": TIMEOUT_S, "ping_interval": None}
    with connect(url, compression=None, **patience, **options) as socket:
        yield Client(socket)


def saying(words: str, **more: Any) -> dict[str, Any]:
    return {"audio": {"input": {"transcription": {"prompt": words}, **more}}}


def test_a_turn_that_the_server_finds_is_told_as_it_comes(box: Box) -> None:
    with client(box) as one:
        created = one.hear("session.created")["session"]
        assert created["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
        assert created["audio"]["input"]["transcription"]["model"] == SPEECH
        one.update(**saying("one two three"))
        updated = one.hear("session.updated")["session"]
        assert (updated["id"], updated["object"], updated["type"]) == (
            created["id"],
            "realtime.transcription_session",
            "transcription",
        )
        one.noise(NOISE, NOISE, SILENCE)
        started = one.hear("input_audio_buffer.speech_started")
        item = started["item_id"]
        deltas = [one.hear(f"{TRANSCRIPTION}.delta") for _ in range(2)]
        assert one.hear("input_audio_buffer.speech_stopped")["item_id"] == item
        committed = one.hear("input_audio_buffer.committed")
        assert (committed["item_id"], committed["previous_item_id"]) == (item, None)
        deltas.append(one.hear(f"{TRANSCRIPTION}.delta"))
        completed = one.hear(f"{TRANSCRIPTION}.completed")
        assert completed == {
            "type": f"{TRANSCRIPTION}.completed",
            "item_id": item,
            "content_index": 0,
            "transcript": "one two three",
            "usage": {"type": "duration", "seconds": 0.3},
        }
        assert "".join(each["delta"] for each in deltas) == completed["transcript"]
        assert {each["content_index"] for each in deltas} == {0}
        one.noise(NOISE, SILENCE)
        one.hear("input_audio_buffer.speech_started")
        one.hear(f"{TRANSCRIPTION}.delta")
        one.hear("input_audio_buffer.speech_stopped")
        assert one.hear("input_audio_buffer.committed")["previous_item_id"] == item


def test_without_turn_detection_the_client_says_when_a_turn_ends(box: Box) -> None:
    with client(box) as one:
        one.hear("session.created")
        one.update(**saying("yes", turn_detection=None))
        assert one.hear("session.updated")["session"]["audio"]["input"]["turn_detection"] is None
        one.say("input_audio_buffer.commit", event_id="mine")
        error = one.hear("error")["error"]
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "mine")
        one.noise(NOISE, NOISE)
        one.say("input_audio_buffer.clear")
        one.hear(f"{TRANSCRIPTION}.delta")
        one.hear("input_audio_buffer.cleared")
        one.noise(NOISE)
        one.say("input_audio_buffer.commit")
        one.hear(f"{TRANSCRIPTION}.delta")
        one.hear("input_audio_buffer.committed")
        assert one.hear(f"{TRANSCRIPTION}.completed")["transcript"] == "yes"


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "response.create"}, "invalid_value", "type"),
        ({"type": "input_audio_buffer.append"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "%"}, "invalid_value", "audio"),
        ({"type": "session.update", "session": {"type": "realtime"}}, "unsupported_parameter",
         "session.type"),
        (
            {
                "type": "session.update",
                "session": {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}},
            },
            "unsupported_parameter",
            "session.audio.input.turn_detection.type",
        ),
        ({"type": "session.update", "session": {"include": 5}}, "invalid_value", "include"),
        (
            {
                "type": "session.update",
                "session": {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}}},
            },
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            {
                "type": "session.update",
                "session": {"audio": {"input": {"noise_reduction": {"type": "near_field"}}}},
            },
            "unsupported_parameter",
            "session.audio.input.noise_reduction",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_the_session_goes_on(
    box: Box, event: dict[str, Any], code: str, param: str
) -> None:
    with client(box) as one:
        one.hear("session.created")
        one.socket.send(json.dumps({**event, "event_id": "e"}))
        error = one.hear("error")["error"]
        assert (error["code"], error["param"], error["event_id"]) == (code, param, "e")
        one.socket.send("no JSON")
        assert one.hear("error")["error"]["code"] == "invalid_value"
        one.noise(NOISE)
        one.hear("input_audio_buffer.speech_started")


def test_the_model_may_be_named_in_the_session_alone(box: Box) -> None:
    with client(box, "?intent=transcription") as one:
        one.hear("session.created")
        one.update(audio={"input": {"transcription": {"model": SPEECH, "prompt": "yes"}}})
        assert one.hear("session.updated")["session"]["audio"]["input"]["transcription"] == {
            "model": SPEECH,
            "language": None,
            "prompt": "yes",
        }
        one.noise(NOISE)
        one.hear("input_audio_buffer.speech_started")
    with client(box, "") as one:
        one.hear("session.created")
        one.update(audio={"input": {"transcription": {"model": "nobody"}}})
        assert one.hear("error")["error"]["code"] == "model_not_found"
        one.noise(NOISE)
        one.hear("input_audio_buffer.speech_started")


def test_sessions_take_places_and_give_them_back(box: Box) -> None:
    wait_until(lambda: box.queue(SPEECH)["in_flight"] == 0)  # of sessions before
    with client(box) as one, client(box) as other:
        one.hear("session.created")
        other.hear("session.created")
        with client(box) as third:
            assert third.hear("error")["error"]["code"] == "rate_limit_exceeded"
            with pytest.raises(ConnectionClosed):
                third.hear()
            assert third.socket.close_code == 1013

    def free() -> bool:
        with client(box) as again:
            return bool(again.hear()["type"] == "session.created")

    wait_until(free)


@pytest.mark.parametrize(
    ("query", "status"),
    [("?model=nobody", 404), (f"?model={CHAT}", 400), ("?intent=conversation", 400)],
)
def test_what_cannot_be_is_refused_before_the_socket_opens(
    box: Box, query: str, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused, client(box, query):
        pass
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["error"]["type"] == "invalid_request_error"


def test_a_get_without_an_upgrade_is_told_so(box: Box) -> None:
    answer = box.client.get("/v1/realtime")
    assert answer.status_code == 400
    assert "WebSocket" in answer.json()["error"]["message"]


def test_a_page_of_another_site_gets_no_socket(box: Box) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        client(box, additional_headers={"Origin": "https://evil.example"}),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_a_worker_that_is_killed_fails_its_turn_and_the_next_sound_is_heard(
    make_box: MakeBox,
) -> None:
    box = make_box(spec(SPEECH, slots=2)).wait_ready()
    with client(box) as one:
        one.hear("session.created")
        one.update(**saying("one two three"))
        one.hear("session.updated")
        one.noise(NOISE)
        item = one.hear("input_audio_buffer.speech_started")["item_id"]
        one.hear(f"{TRANSCRIPTION}.delta")
        pid = box.replica(SPEECH)["pid"]
        os.kill(pid, signal.SIGKILL)
        failed = one.hear(f"{TRANSCRIPTION}.failed")
        assert (failed["item_id"], failed["error"]["code"]) == (item, "worker_crashed")
        wait_until(lambda: box.ask("/readyz") == 200 and box.replica(SPEECH)["pid"] != pid)
        one.noise(NOISE, SILENCE)
        again = one.hear("input_audio_buffer.speech_started")["item_id"]
        assert again != item
        kinds = [one.hear()["type"].rpartition(".")[2] for _ in range(5)]
        assert kinds == ["delta", "speech_stopped", "committed", "delta", "completed"]
    for outcome in ("ok", "worker_crashed"):
        labels = f'model="{SPEECH}",outcome="{outcome}"'
        line = f"edge_serve_live_turns_total{{{labels}}} 1.0"
        wait_until(lambda: line in box.client.get("/metrics").text)  # noqa: B023


def test_what_a_session_has_heard_is_in_its_record(make_box: MakeBox) -> None:
    box = make_box(spec(SPEECH)).wait_ready()
    with client(box) as one:
        one.hear("session.created")
        for _ in range(2):
            one.noise(NOISE, SILENCE)
            while one.hear()["type"] != f"{TRANSCRIPTION}.completed":
                pass

    def ended() -> Any:
        (request,) = box.client.get("/admin/requests").json()["requests"]
        return request["stage"] == "ended" and request

    request = wait_until(ended)
    assert (request["status"], request["audio_s"]) == (101, 0.4)


def test_a_client_that_leaves_frees_its_worker(box: Box) -> None:
    with client(box) as one:
        one.hear("session.created")
        one.noise(NOISE)
        one.hear("input_audio_buffer.speech_started")
        wait_until(lambda: box.queue(SPEECH)["in_flight"] == 1)  # sessions before have given theirs
    wait_until(lambda: box.queue(SPEECH)["in_flight"] == 0)


def test_keys_come_by_header_or_by_subprotocol(make_box: MakeBox, box: Box) -> None:
    del box
    gate = AccessConfig(api_keys={"ann": ApiKey.of("sk-secret")})
    guarded = make_box(spec(SPEECH), gate=gate)
    wait_until(lambda: guarded.ask("/livez") == 200)
    with pytest.raises(InvalidStatus) as refused, client(guarded):
        pass
    assert refused.value.response.status_code == 401
    with client(guarded, additional_headers={"Authorization": "Bearer sk-secret"}) as one:
        one.hear("session.created")
    offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.sk-secret")]
    with client(guarded, subprotocols=offered) as one:
        one.hear("session.created")
        assert one.socket.subprotocol == "realtime"


def test_a_server_that_stops_says_so(make_box: MakeBox) -> None:
    box = make_box(spec(SPEECH)).wait_ready()
    with client(box) as one:
        one.hear("session.created")
        box.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            one.hear()
        assert one.socket.close_code == 1012


# --- the official clients ---


def test_openais_client_hears_a_turn(box: Box) -> None:
    ours = openai.OpenAI(base_url=f"{box.url}/v1", api_key="none")
    with ours.realtime.connect(model=SPEECH) as connection:
        kinds: list[str] = []
        connection.session.update(
            session={"type": "transcription", **saying("one two")}  # type: ignore[arg-type]
        )
        for sound in (NOISE, NOISE, SILENCE):
            connection.input_audio_buffer.append(audio=sound)
        for event in connection:
            kinds.append(event.type)
            if isinstance(event, Completed):
                assert event.transcript == "one two"
                break
    assert kinds[:2] == ["session.created", "session.updated"]


def test_openais_asynchronous_client_hears_a_turn(box: Box) -> None:
    asyncio.run(_asynchronously(box))


async def _asynchronously(box: Box) -> None:
    async with openai.AsyncOpenAI(base_url=f"{box.url}/v1", api_key="none") as ours:
        query = {"intent": "transcription"}
        async with ours.realtime.connect(extra_query=query) as connection:
            session = {
                "type": "transcription",
                "audio": {
                    "input": {
                        "transcription": {"model": SPEECH, "prompt": "one two"},
                        "turn_detection": None,
                    }
                },
            }
            await connection.session.update(session=session)  # type: ignore[arg-type]
            await connection.input_audio_buffer.append(audio=NOISE)
            await connection.input_audio_buffer.commit()
            said = ""
            async for event in connection:
                if isinstance(event, Delta):
                    said += event.delta or ""
                if isinstance(event, Completed):
                    assert event.transcript == said == "one two"
                    return
