"""The API from outside: requests in, answers, headers, log lines and metrics out."""

from __future__ import annotations

import array
import asyncio
import base64
import gc
import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import orjson
import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from frontend.api.openai.models import entry
from frontend.dispatch.budget import Budget
from frontend.dispatch.stream import Stream
from frontend.http import body
from frontend.http.body import MAX_VALUES, next_read_at
from ipc.engines import ENGINES, Chat
from ipc.messages.control import AccessConfig
from ipc.messages.errors import CircuitOpen, DeadlineExceeded, ModelLoading, QueueFull, ServeError
from ipc.messages.events import Delta
from ipc.messages.jobs import SpeechInput
from ipc.messages.keys import ApiKey, KeyLimits, digest_of
from ipc.messages.spec import Loaded, Spec
from ipc.messages.state import ModelState
from ipc.tasks import capabilities
from tests.unit.frontend.http_fakes import (
    CHAT,
    SPEECH,
    FakeControl,
    FakeDispatcher,
    Script,
    application,
    embeds,
    hears,
    report,
    says,
    silent,
)

HI = {"model": "org/chat", "messages": [{"role": "user", "content": "hi"}]}
WAV = {"file": ("a.wav", b"RIFF....", "audio/wav")}
SECRET = "my-secret-text"
PATIENCE_S = 20.0

Log = pytest.LogCaptureFixture


@pytest.fixture
def fake() -> FakeDispatcher:
    return FakeDispatcher(says("Hel", "lo"))


@pytest.fixture
def client(fake: FakeDispatcher) -> Iterator[TestClient]:
    with TestClient(application(fake)) as client:
        yield client


def post(client: TestClient, path: str, body: Any, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return client.post(
        path, content=content, headers={"content-type": "application/json", **headers}
    )


def lines(log: Log) -> list[logging.LogRecord]:
    return [record for record in log.records if record.name == "edge_serve.access"]


# --- chat ---


def test_a_whole_completion(client: TestClient) -> None:
    answer = post(client, "/v1/chat/completions", HI)
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert body.pop("id").startswith("chatcmpl-")
    assert body.pop("system_fingerprint").startswith("fp_")
    assert abs(body.pop("created") - time.time()) < 60
    assert body == {
        "object": "chat.completion",
        "model": "org/chat",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 2,
            "total_tokens": 9,
            "prompt_tokens_details": {"cached_tokens": 3},
        },
    }


def test_a_streamed_completion(client: TestClient) -> None:
    answer = post(client, "/v1/chat/completions", {**HI, "stream": True})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    *events, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    chunks = [orjson.loads(event.removeprefix("data: ")) for event in events]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "Hello"
    assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]}


def test_a_stream_that_fails_at_once_is_an_ordinary_error(fake: FakeDispatcher) -> None:
    fake.script = lambda stream: stream.fail(DeadlineExceeded("too slow"))
    with TestClient(application(fake)) as client:
        answer = post(client, "/v1/chat/completions", {**HI, "stream": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")


def test_what_an_engine_lacks_is_refused_before_it_waits(
    fake: FakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor = msgspec.structs.replace(ENGINES["echo"], chat=Chat(lacks=("seed",)))
    monkeypatch.setitem(ENGINES, "echo", poor)
    with TestClient(application(fake)) as client:
        answer = post(client, "/v1/chat/completions", {**HI, "seed": 1})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "seed")
    assert error["code"] == "unsupported_parameter"
    assert not fake.asked


# --- embeddings ---

ROWS = array.array("f", [0.1, -2.5, 3.0, 1e-8, 5.0, 6.0])


def test_base64_embeddings_are_the_engines_own_bytes(fake: FakeDispatcher) -> None:
    fake.script = embeds(ROWS.tobytes(), count=2)
    body = {"model": "org/embed", "input": ["a", "b"], "encoding_format": "base64"}
    with TestClient(application(fake)) as client:
        data = post(client, "/v1/embeddings", body).json()["data"]
    assert [row["index"] for row in data] == [0, 1]
    assert b"".join(base64.b64decode(row["embedding"]) for row in data) == ROWS.tobytes()


def test_float_embeddings_are_the_same_numbers(fake: FakeDispatcher) -> None:
    fake.script = embeds(ROWS.tobytes(), count=2)
    with TestClient(application(fake)) as client:
        body = post(client, "/v1/embeddings", {"model": "org/embed", "input": ["a", "b"]}).json()
    numbers = [number for row in body["data"] for number in row["embedding"]]
    assert array.array("f", numbers) == ROWS
    assert body["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert (body["object"], body["model"]) == ("list", "org/embed")


# --- audio ---


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("text", "Hello there.\n"),
        ("srt", "1\n00:00:00,000 --> "),
        ("vtt", "WEBVTT\n\n"),
        ("json", '{"text":"Hello there."'),
        ("verbose_json", '{"task":"transcribe"'),
    ],
)
def test_transcriptions(fake: FakeDispatcher, form: str, start: str) -> None:
    fake.script = hears
    with TestClient(application(fake)) as client:
        fields = {"model": "org/speech", "response_format": form}
        answer = client.post("/v1/audio/transcriptions", data=fields, files=WAV)
    assert answer.status_code == 200
    assert answer.text.startswith(start)
    asked = fake.asked[0]
    assert isinstance(asked, SpeechInput)
    assert (asked.audio.data, asked.translate) == (b"RIFF....", False)


def test_translations_and_streams(fake: FakeDispatcher) -> None:
    fake.script = hears
    with TestClient(application(fake)) as client:
        fields = {"model": "org/speech", "stream": "true"}
        answer = client.post("/v1/audio/translations", data=fields, files=WAV)
    assert answer.text.count("data: ") == 2
    assert '"transcript.text.done"' in answer.text
    assert fake.asked[0].translate is True


@pytest.mark.parametrize(
    ("files", "status", "message"),
    [
        ({"other": ("a.wav", b"RIFF")}, 400, "`file` is required"),
        ({"file": ("a.wav", b"")}, 400, "`file` is empty"),
        ({"file": ("a.wav", bytes((1 << 20) + 1))}, 413, "limit of 1048576 bytes"),
        ({"file": ("a.wav", bytes(2 << 20))}, 413, "limit of 1048576 bytes"),
        ([("file", ("a", b"x")), ("file", ("b", b"y"))], 400, "Too many files"),
    ],
)
def test_uploads_that_are_refused(
    client: TestClient, fake: FakeDispatcher, files: Any, status: int, message: str
) -> None:
    fields = {"model": "org/speech"}
    answer = client.post("/v1/audio/transcriptions", data=fields, files=files)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]
    assert fake.asked == []


def test_a_form_that_breaks_off_is_refused(client: TestClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    body = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\norg/spee'
    answer = client.post("/v1/audio/transcriptions", content=body, headers=headers)
    assert answer.status_code == 400


def test_json_is_no_upload(client: TestClient) -> None:
    answer = post(client, "/v1/audio/transcriptions", {"model": "org/speech"})
    assert answer.status_code == 415
    assert "multipart/form-data" in answer.json()["error"]["message"]


# --- models and health ---


@pytest.mark.parametrize("path", ["/v1/models/org/chat", "/v1/models/org%2Fchat"])
def test_a_model_is_found_by_its_name_however_the_slash_is_written(
    client: TestClient, path: str
) -> None:
    body = client.get(path).json()
    assert (body["id"], body["object"], body["state"]) == ("org/chat", "model", "ready")
    assert body["capabilities"] == ["chat-completion"]


@pytest.mark.parametrize("translates", [True, False])
def test_speech_models_that_translate_say_so(*, translates: bool) -> None:
    speech = Spec(name="org/speech", task="speech", engine="echo", path="")
    loaded = Loaded(device="cpu", languages=["en", "de"], translates=translates)
    expected = ["audio-transcription", *(["audio-translation"] if translates else [])]
    assert capabilities(speech, loaded) == expected
    assert capabilities(speech, None) == ["audio-transcription"]


@pytest.mark.parametrize(
    ("skill", "capability"), [("tools", "tools"), ("reasoning", "reasoning"), ("fills", "fill")]
)
def test_what_a_chat_model_has_learned_is_known_once_it_is_loaded(
    skill: str, capability: str
) -> None:
    able = Loaded(device="cpu", **{skill: True})  # type: ignore[arg-type]
    assert capabilities(CHAT, able) == ["chat-completion", capability]
    assert capabilities(CHAT, None) == ["chat-completion"]


def test_models_are_listed(client: TestClient) -> None:
    body = client.get("/v1/models").json()
    assert body["object"] == "list"
    assert [entry["id"] for entry in body["data"]] == [
        "org/chat",
        "org/embed",
        "org/rerank",
        "org/speech",
        "org/speak",
    ]


def test_an_alias_is_listed_with_the_name_that_it_stands_for(fake: FakeDispatcher) -> None:
    fake.aliases = {"gpt-4o": "org/chat", "gone": "org/unavailable"}
    with TestClient(application(fake)) as client:
        data = client.get("/v1/models").json()["data"]
        one = client.get("/v1/models/gpt-4o").json()
    assert [(entry["id"], entry["alias_of"]) for entry in data] == [
        ("org/chat", None),
        ("org/embed", None),
        ("org/rerank", None),
        ("org/speech", None),
        ("org/speak", None),
        ("gpt-4o", "org/chat"),
    ]
    assert one == data[-1] == {**data[0], "id": "gpt-4o", "alias_of": "org/chat"}


@pytest.mark.parametrize("name", ["gpt-4o", "org/chat"])
def test_an_answer_has_the_name_that_was_asked_for_and_is_counted_under_the_models_own(
    fake: FakeDispatcher, name: str
) -> None:
    fake.aliases = {"gpt-4o": "org/chat"}
    fake.script = says("hi")
    body = {"model": name, "messages": [{"role": "user", "content": "x"}]}
    with TestClient(application(fake)) as client:
        whole = post(client, "/v1/chat/completions", body).json()
        streamed = post(client, "/v1/chat/completions", {**body, "stream": True}).text
        metrics = client.get("/metrics").text
    assert whole["model"] == name
    assert f'"model":"{name}"' in streamed
    assert fake.sizes[0][0] == "org/chat"
    assert 'model="org/chat"' in metrics
    assert "gpt-4o" not in metrics


def test_a_chat_models_limits_are_listed(client: TestClient) -> None:
    listed = client.get("/v1/models/org/chat").json()
    assert (listed["max_prompt_tokens"], listed["max_new_tokens"]) == (2047, 100)
    assert client.get("/v1/models/org/embed").json()["max_prompt_tokens"] is None


@pytest.mark.parametrize(
    ("limit", "context", "told"),
    [(0, 2048, 2047), (512, 2048, 512), (4096, 2048, 2047), (512, None, 512), (0, None, None)],
)
def test_a_prompt_may_be_as_long_as_the_model_reads(
    limit: int, context: int | None, told: int | None
) -> None:
    spec = msgspec.structs.replace(CHAT, max_prompt_tokens=limit)
    loaded = Loaded(device="cpu", context_tokens=context)
    state = ModelState(name=spec.name, routes=[], state="ready", loaded=loaded)
    assert entry(spec, state)["max_prompt_tokens"] == told


@pytest.mark.parametrize(
    ("answer", "draining", "status", "health", "ready"),
    [
        (report(chat="ready", embed="ready"), False, "ok", 200, 200),
        (report(chat="ready", embed="stopped"), False, "ok", 200, 200),
        (report(chat="ready", embed="failed"), False, "degraded", 200, 503),
        (report(chat="starting"), False, "unavailable", 503, 503),
        (report(chat="ready"), True, "unavailable", 503, 503),
        (None, False, "unavailable", 503, 503),
    ],
)
def test_health(
    fake: FakeDispatcher, answer: Any, draining: bool, status: str, health: int, ready: int
) -> None:
    fake.draining = draining
    with TestClient(application(fake, FakeControl(answer))) as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == ready
        given = client.get("/health")
    assert (given.status_code, given.json()["status"]) == (health, status)
    assert given.json()["models"][0]["queue"]["depth"] == 1


def test_a_key_for_some_models_reads_of_no_others_in_health(fake: FakeDispatcher) -> None:
    answer = report(chat="failed", embed="ready")
    one = "org/embed"
    limited = ApiKey(digest=digest_of("sk-some"), limits=KeyLimits(models=[one]))
    gate = AccessConfig(api_keys={"some": limited})
    headers = {"authorization": "Bearer sk-some"}
    with TestClient(application(fake, FakeControl(answer), gate=gate), headers=headers) as client:
        health, ready = client.get("/health"), client.get("/readyz")
        metrics = client.get("/metrics")
    assert [model["name"] for model in health.json()["models"]] == [one]
    assert (health.json()["status"], ready.status_code) == ("degraded", 503)
    assert ready.json()["not_ready"] == {}
    assert metrics.status_code == 403
    assert "org/chat" not in health.text + ready.text + metrics.text


@pytest.mark.parametrize(
    ("state", "status", "health"),
    [
        ("unloaded", "ok", 200),
        ("starting", "ok", 200),
        ("ready", "ok", 200),
        ("draining", "ok", 200),
        ("backoff", "unavailable", 503),
        ("failed", "unavailable", 503),
    ],
)
def test_a_model_that_is_loaded_on_demand_is_never_missed(
    fake: FakeDispatcher, state: str, status: str, health: int
) -> None:
    answer = report(chat=state)
    answer["models"][0]["load"] = "on_demand"
    with TestClient(application(fake, FakeControl(answer))) as client:
        ready, given = client.get("/readyz"), client.get("/health")
    assert (ready.status_code, ready.json()["not_ready"]) == (200, {})
    assert (given.status_code, given.json()["status"]) == (health, status)


def test_a_model_that_cannot_be_loaded_on_demand_is_told_of(fake: FakeDispatcher) -> None:
    answer = report(chat="ready", embed="failed")
    answer["models"][1]["load"] = "on_demand"
    with TestClient(application(fake, FakeControl(answer))) as client:
        assert client.get("/readyz").status_code == 200
        given = client.get("/health")
    assert (given.status_code, given.json()["status"]) == (200, "degraded")


def test_a_model_that_is_drained_is_missed_however_it_stands(fake: FakeDispatcher) -> None:
    answer = report(chat="ready", embed="unloaded")
    answer["models"][1] |= {"load": "on_demand", "drained": True}
    with TestClient(application(fake, FakeControl(answer))) as client:
        ready, some = client.get("/readyz"), client.get("/health")
        answer["models"][0]["drained"] = True
        none = client.get("/health")
    assert ready.status_code == 503
    assert ready.json()["not_ready"] == {"org/embed": "unloaded: an operator has drained it"}
    assert (some.status_code, some.json()["status"]) == (200, "degraded")
    assert (none.status_code, none.json()["status"]) == (503, "unavailable")


def test_readiness_says_which_model_is_missing_and_why(fake: FakeDispatcher) -> None:
    control = FakeControl(report(chat="ready", embed="failed"))
    with TestClient(application(fake, control)) as client:
        missing = client.get("/readyz").json()["not_ready"]
    assert missing == {"org/embed": "failed: out of luck"}


def test_a_ready_model_that_no_job_reaches_is_not_ready() -> None:
    fake = FakeDispatcher()
    fake.lost = {CHAT.name}
    client = TestClient(application(fake, FakeControl(report(chat="ready", embed="ready"))))
    assert client.get("/readyz").json()["not_ready"] == {
        CHAT.name: "starting: this server has no connection to its worker"
    }
    health = client.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["models"][0]["state"] == "starting"


def test_metrics(client: TestClient) -> None:
    post(client, "/v1/chat/completions", HI)
    post(client, "/v1/chat/completions", {**HI, "model": SECRET})
    text = client.get("/metrics").text
    for line in (
        'edge_serve_requests_total{model="org/chat",status="200",task="chat"} 1.0',
        'edge_serve_requests_total{model="",status="404",task=""} 1.0',
        'chat_request_latency_seconds_count{model="org/chat"} 1.0',
        'chat_request_queue_wait_seconds_count{model="org/chat"} 1.0',
        'edge_serve_time_to_first_token_seconds_count{model="org/chat"} 1.0',
        'edge_serve_prompt_tokens_total{model="org/chat"} 7.0',
        'edge_serve_generation_tokens_total{model="org/chat"} 2.0',
        'edge_serve_requests_waiting{model="org/chat"} 1.0',
        'edge_serve_worker_up{model="org/chat",replica="chat-1"} 1.0',
        'edge_serve_worker_restarts{model="org/chat",replica="chat-1"} 3.0',
    ):
        assert line in text
    assert SECRET not in text


def test_padding_is_counted(fake: FakeDispatcher, client: TestClient) -> None:
    fake.script = embeds(ROWS.tobytes(), count=2, padding_tokens=5)
    post(client, "/v1/embeddings", {"model": "org/embed", "input": ["a", "b"]})
    assert 'edge_serve_padding_tokens_total{model="org/embed"} 5.0' in client.get("/metrics").text


def test_metrics_can_be_left_out(fake: FakeDispatcher) -> None:
    with TestClient(application(fake, metrics=False)) as client:
        assert client.get("/metrics").status_code == 404


# --- bodies ---


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"model": NaN}',
        b'{"model": "\xff"}',
        b'{"model": "\\ud800"}',
        b'{"model": "a\x00b"}',
        b'{"model": 1e999}',
        b"[" * 100_000,
        b'{"model":' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_malformed_body_is_refused_and_leaves_one_line(
    client: TestClient, caplog: Log, body: bytes
) -> None:
    with caplog.at_level(logging.INFO):
        answer = post(client, "/v1/chat/completions", body)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert set(error) == {"message", "type", "param", "code"}
    ours = [record for record in caplog.records if not record.name.startswith(("http", "asyncio"))]
    assert [record.name for record in ours] == ["edge_serve.access"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_called_json_is_refused(client: TestClient, kind: str) -> None:
    answer = client.post(
        "/v1/chat/completions", content=orjson.dumps(HI), headers={"content-type": kind}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_a_charset_beside_the_type_is_fine(client: TestClient) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    answer = client.post("/v1/chat/completions", content=orjson.dumps(HI), headers=headers)
    assert answer.status_code == 200


def test_a_body_over_the_limit_is_not_read_to_its_end(fake: FakeDispatcher) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1000
            yield b" " * 1000

    async def scene() -> Answer:
        source = endless()

        async def receive() -> Message:
            return {"type": "http.request", "body": next(source), "more_body": True}

        return await call(fake, receive, max_json_bytes=10_000)

    answer = asyncio.run(scene())
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert read == 11_000


def test_a_declared_length_over_the_limit_is_refused_unread(fake: FakeDispatcher) -> None:
    async def receive() -> Message:
        raise AssertionError("nothing was to be read")

    answer = asyncio.run(call(fake, receive, {"content-length": "10001"}, max_json_bytes=10_000))
    assert answer.status == 413


def test_a_body_that_never_ends_is_given_up(
    fake: FakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frontend.http.body.READ_TIMEOUT_S", 0.01)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    answer = asyncio.run(call(fake, receive))
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")
    assert answer.error["message"].startswith("the body comes too slowly: 0 bytes in ")


@pytest.mark.parametrize(
    ("after_s", "got_bytes", "left_s"),
    [
        (0, 0, 60),
        (0, 1 << 20, 60),
        (75, 15_000_000, 60),  # 1.6 Mbit/s
        (20 * 60, 20 * 60 * 16_000, 60),  # a microphone for twenty minutes
        (3600, 3600 * 2_000, 60),  # speech in Opus for an hour
        (50, 0, 10),
        (59, 500, 2),
        (600, 600 * 100, -420),  # a hundred bytes a second
        (3600, 3600, -3532.8),  # one
    ],
)
def test_a_body_may_take_long_if_it_keeps_coming(
    after_s: float, got_bytes: int, left_s: float
) -> None:
    began_at = 1000.0
    now = began_at + after_s
    assert next_read_at(began_at, now, got_bytes) == pytest.approx(now + left_s)


def test_a_byte_order_mark_is_skipped(client: TestClient) -> None:
    answer = post(client, "/v1/chat/completions", b"\xef\xbb\xbf" + orjson.dumps(HI))
    assert answer.status_code == 200


TEXT = '{"model": "org/chat", "messages": [{"role": "user", "content": "M\u00fcller \U0001f600"}]}'


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (TEXT.encode("utf-16"), "the body is UTF-16; send UTF-8"),
        (TEXT.encode("utf-16-be"), "the body is UTF-16; send UTF-8"),
        ("{}".encode("utf-16-le"), "the body is UTF-16; send UTF-8"),
        (TEXT[:-6].encode("latin-1", "ignore"), "the body is not valid UTF-8 at byte 65"),
        (TEXT.encode()[:-6], "the body is not valid UTF-8 at byte 72"),
        (b"[" * 2000, "JSON: depth limit exceeded (line 1, column"),
        (b'{"temperature": 1e999}', "JSON: number is infinity when parsed as double (line 1"),
        (b'{"model": "\\ud83d"}', "JSON: half a surrogate pair (line 1, column 12)"),
        (b'{"model": "\\ude00"}', "JSON: half a surrogate pair (line 1, column 12)"),
        (b'{"model": "\\ud83d\\u0041"}', "JSON: half a surrogate pair (line 1, column 12)"),
        (b'{"model": "\xed\xa0\xbd"}', "the body is not valid UTF-8 at byte 11"),
        (b"", "the body is empty"),
        (b"\xef\xbb\xbf", "the body is empty"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_a_body_that_is_no_utf8_is_told_so(client: TestClient, body: bytes, told: str) -> None:
    answer = post(client, "/v1/chat/completions", body)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "x-gzip", "identity, deflate", "a'b"])
def test_a_body_in_another_coding_is_refused_by_name(client: TestClient, coding: str) -> None:
    headers = {b"content-type": b"application/json", b"content-encoding": coding.encode("latin-1")}
    answer = client.post("/v1/chat/completions", content=orjson.dumps(HI), headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (415, "unsupported_media_type")
    assert f"`Content-Encoding` {coding.rpartition(' ')[2]!a} is not" in error["message"]


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_a_body_that_is_as_it_is_may_say_so(client: TestClient, coding: str) -> None:
    headers = {"content-encoding": coding}
    assert post(client, "/v1/chat/completions", HI, **headers).status_code == 200


@pytest.mark.parametrize(
    ("charset", "status"),
    [
        *((name, 200) for name in ("utf-8", "UTF-8", '"utf8"', "us-ascii", "")),
        *((name, 400) for name in ("utf-16", "iso-8859-1", "windows-1252", "utf-7", "x" * 999)),
    ],
)
def test_another_charset_is_refused_by_name(client: TestClient, charset: str, status: int) -> None:
    headers = {"content-type": f"application/json; charset={charset}"}
    answer = client.post("/v1/chat/completions", content=orjson.dumps(HI), headers=headers)
    assert answer.status_code == status
    if status == 400:
        told = answer.json()["error"]["message"]
        assert f"the charset '{charset[:200]}" in told
        assert len(told) < 300


def part(name: bytes, value: bytes, *fields: bytes) -> bytes:
    head = b'Content-Disposition: form-data; name="%b"' % name
    return b"--x\r\n" + b"\r\n".join((head, *fields)) + b"\r\n\r\n" + value + b"\r\n"


def form(client: TestClient, *parts: bytes, kind: str = "") -> Any:
    file = part(b'file"; filename="a.wav', b"RIFF")
    content = b"".join((part(b"model", b"org/speech"), *(parts or (file,)), b"--x--\r\n"))
    headers = {"content-type": f"multipart/form-data; boundary=x{kind}"}
    return client.post("/v1/audio/transcriptions", content=content, headers=headers)


PROMPT = "M\u00fcller"
FILE = b'file"; filename="a.wav'


@pytest.mark.parametrize(
    ("parts", "kind", "status", "told"),
    [
        ([part(b"prompt", PROMPT.encode("latin-1"))], "", 400, "`prompt` is not valid UTF-8"),
        ([part(b"prompt", PROMPT.encode()[:2])], "", 400, "`prompt` is not valid UTF-8"),
        ([part(b"prompt", PROMPT.encode("utf-16"))], "", 400, "`prompt` is UTF-16"),
        ([part(b"prompt", b"a\0b")], "", 400, "`prompt` must not contain NUL"),
        ([part(b"prompt", b"a\0bc")], "", 400, "`prompt` must not contain NUL"),
        ([part(b"prompt", "ab".encode("utf-16-le"))], "", 400, "`prompt` must not contain NUL"),
        ([part(FILE, b"RIFF"), part(b"unheard", b"\0a")], "", 200, ""),
        ([part(b"prompt", b"x", b"Content-Type: text/plain; charset=cp1252")], "", 400, "'cp1252'"),
        ([part(FILE, b"UklG", b"Content-Transfer-Encoding: base64")], "", 415, "'base64'"),
        ([part(b"prompt", b"=41", b"Content-Transfer-Encoding: quoted-printable")], "", 415, "'q"),
        ([], "; charset=utf-16", 400, "the charset 'utf-16'"),
        ([part(FILE, b"RIFF", b"Content-Transfer-Encoding: Binary")], "; charset=UTF-8", 200, ""),
        ([part(FILE, b"RIFF", b"Content-Type: text/plain; charset=cp1252")], "", 200, ""),
    ],
)  # fmt: skip
def test_a_form_is_taken_as_it_is_or_not_at_all(
    fake: FakeDispatcher, parts: list[bytes], kind: str, status: int, told: str
) -> None:
    fake.script = hears
    with TestClient(application(fake)) as client:
        answer = form(client, *parts, kind=kind)
    assert answer.status_code == status
    assert told in (answer.json()["error"]["message"] if status != 200 else "")


# --- errors and headers ---


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (QueueFull("full", retry_after_s=2.1), 429, {"retry-after": "3"}),
        (QueueFull("full", retry_after_s=0.01), 429, {"retry-after": "1"}),
        (ModelLoading("loading", retry_after_s=600), 503, {"retry-after": "60"}),
        (CircuitOpen("open", retry_after_s=299.2), 503, {"retry-after": "300"}),
        (DeadlineExceeded("late"), 504, {"x-should-retry": "false"}),
    ],
)
def test_an_error_tells_the_sdk_whether_and_when_to_retry(
    fake: FakeDispatcher, error: ServeError, status: int, headers: dict[str, str]
) -> None:
    def refuse(_: Stream) -> None:
        raise error

    fake.script = refuse
    with TestClient(application(fake)) as client:
        answer = post(client, "/v1/chat/completions", HI)
    assert answer.status_code == status
    assert headers.items() <= dict(answer.headers).items()
    assert ("retry-after" in answer.headers) == ("retry-after" in headers)
    assert ("x-should-retry" in answer.headers) == ("x-should-retry" in headers)
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/models/nope", 404, "model_not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/org/chat", 405, "method_not_allowed"),
    ],
)
def test_wrong_routes_are_error_objects_too(
    client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_options_and_head(client: TestClient) -> None:
    answer = client.options("/v1/models")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD")
    assert client.head("/v1/models").status_code == 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-123", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("two words", False),
        ("", False),
        ("caf\xe9", False),
    ],
)
def test_a_clients_request_id_is_kept_where_it_is_safe(
    client: TestClient, given: str, kept: bool
) -> None:
    answer = client.get("/livez", headers={b"x-request-id": given.encode("latin-1")})
    assert (answer.headers["x-request-id"] == given) is kept


def test_an_unexpected_exception_is_one_traceback_and_a_500(
    fake: FakeDispatcher, caplog: Log
) -> None:
    def break_down(_: Stream) -> None:
        raise RuntimeError("a defect")

    fake.script = break_down
    with TestClient(application(fake)) as client, caplog.at_level(logging.INFO):
        answer = post(client, "/v1/chat/completions", HI)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"].startswith("req_")
    assert len([record for record in caplog.records if record.exc_info]) == 1
    (line,) = lines(caplog)
    assert (vars(line)["status"], vars(line)["error"]) == (500, "internal_error")


def test_the_log_line_has_the_facts_and_not_the_text(client: TestClient, caplog: Log) -> None:
    asked = {**HI, "messages": [{"role": "user", "content": SECRET}]}
    with caplog.at_level(logging.INFO):
        answer = post(client, "/v1/chat/completions", asked)
        client.get("/%0a%1b[31mred")
    chat, odd = lines(caplog)
    facts = vars(chat)
    assert (facts["method"], facts["path"], facts["status"]) == (
        "POST",
        "/v1/chat/completions",
        200,
    )
    assert (facts["model"], facts["prompt_tokens"], facts["completion_tokens"]) == (
        "org/chat",
        7,
        2,
    )
    assert facts["request_id"] == answer.headers["x-request-id"]
    assert vars(odd)["path"] == "/%0A%1B%5B31mred"
    assert SECRET not in caplog.text


# --- clients that leave ---


class Answer:
    """What was sent for one request, the body as JSON."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def error(self) -> Any:
        return orjson.loads(self.messages[1]["body"])["error"]


async def call(
    fake: FakeDispatcher,
    receive: Callable[[], Any],
    headers: dict[str, str] | None = None,
    path: str = "/v1/chat/completions",
    **limits: Any,
) -> Answer:
    """One POST straight into the application, with a client of the test's own making."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    all_headers = {"content-type": "application/json", **(headers or {})}
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in all_headers.items()],
        "query_string": b"",
    }
    async with asyncio.timeout(PATIENCE_S):
        await application(fake, **limits)(scope, receive, send)
    return Answer(messages)


def leaving_after(body: bytes, ready: asyncio.Event) -> Callable[[], Any]:
    """A client that sends ``body`` and leaves once ``ready`` is set."""

    async def messages() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": body, "more_body": False}
        await ready.wait()
        yield {"type": "http.disconnect"}

    return messages().__anext__


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", HI),
        ("/v1/chat/completions", {**HI, "stream": True}),
        ("/v1/embeddings", {"model": "org/embed", "input": "a"}),
    ],
    ids=["whole", "stream", "embedding"],
)
def test_a_client_that_leaves_cancels_its_job(caplog: Log, path: str, body: Any) -> None:
    async def scene() -> FakeDispatcher:
        submitted = asyncio.Event()
        fake = FakeDispatcher(lambda _: submitted.set())
        await call(fake, leaving_after(orjson.dumps(body), submitted), path=path)
        return fake

    with caplog.at_level(logging.INFO):
        fake = asyncio.run(scene())
    assert len(fake.cancelled) == 1
    (line,) = lines(caplog)
    assert (vars(line)["status"], vars(line)["error"]) == (499, "client_closed_request")


def test_a_client_that_leaves_while_sending_starts_nothing(caplog: Log) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    fake = FakeDispatcher(silent)
    with caplog.at_level(logging.INFO):
        asyncio.run(call(fake, receive))
    assert fake.asked == []
    assert [vars(line)["status"] for line in lines(caplog)] == [499]


def test_an_answer_that_is_whole_is_not_cancelled(fake: FakeDispatcher) -> None:
    with TestClient(application(fake)) as client:
        post(client, "/v1/chat/completions", HI)
        post(client, "/v1/chat/completions", {**HI, "stream": True})
    assert fake.cancelled == []


def test_the_size_of_a_job_is_the_size_of_its_body(fake: FakeDispatcher) -> None:
    with TestClient(application(fake)) as client:
        post(client, "/v1/chat/completions", HI)
        fake.script = hears
        client.post("/v1/audio/transcriptions", data={"model": "org/speech"}, files=WAV)
    assert fake.sizes == [(CHAT.name, len(orjson.dumps(HI))), (SPEECH.name, 8)]


def test_text_before_a_crash_is_not_lost(fake: FakeDispatcher) -> None:
    def crash(stream: Stream) -> None:
        stream.push(Delta("job", "partial"), time.monotonic())
        stream.fail(ModelLoading("gone", retry_after_s=1))

    fake.script = crash
    with TestClient(application(fake)) as client:
        answer = post(client, "/v1/chat/completions", {**HI, "stream": True})
    assert answer.status_code == 200
    assert '"partial"' in answer.text
    assert '"model_loading"' in answer.text
    assert "[DONE]" not in answer.text


# --- large ones ---

MIB = 1 << 20


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_comes_in_one_burst_reaches_its_client(
    fake: FakeDispatcher, stream: bool, caplog: Log
) -> None:
    fake.script = says("x" * 3 * MIB, "y")
    with caplog.at_level(logging.INFO), TestClient(application(fake)) as client:
        answer = post(client, "/v1/chat/completions", {**HI, "stream": stream})
    assert answer.status_code == 200
    assert answer.text.count("x" * 3 * MIB) == 1
    assert [vars(line)["status"] for line in lines(caplog)] == [200]


@pytest.mark.parametrize("unit", [b"[],", b"{},", b'{"a":1},', b"1,", b'"",', b"[", b":", b"\\,"])
def test_a_body_of_too_many_values_is_not_parsed(
    fake: FakeDispatcher, unit: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "_parse", lambda _: pytest.fail("it is parsed"))
    raw = b'{"model":"org/embed","input":[' + unit * (MAX_VALUES + 1) + b"1]}"
    with TestClient(application(fake, max_json_bytes=20 * MIB)) as client:
        answer = post(client, "/v1/embeddings", raw)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert "values; if they are token ids, send texts" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/embeddings", {"model": "org/embed", "input": ['[1, "a": {}], ' * 300] * 2048}),
        (
            "/v1/chat/completions",
            {
                "model": "org/chat",
                "messages": [
                    {"role": "user", "name": "ann", "content": [{"type": "text", "text": "a, b"}]}
                ]
                * 2048,
            },
        ),
    ],
)
def test_the_largest_ordinary_requests_are_served(
    fake: FakeDispatcher, path: str, asked: Any
) -> None:
    """However many commas their texts have."""
    fake.script = says("ok") if "chat" in path else embeds(array.array("f", [1.0]).tobytes(), 1)
    limits: Any = {"max_json_bytes": 20 * MIB, "max_batch_size": 2048, "max_text_chars": 10_000}
    with TestClient(application(fake, **limits)) as client:
        assert post(client, path, asked).status_code == 200


def test_small_requests_are_served_when_large_ones_have_filled_the_memory(
    fake: FakeDispatcher,
) -> None:
    budget = Budget(4 * MIB)
    full = budget.open()
    full.add(4 * MIB)
    large = {**HI, "messages": [{"role": "user", "content": "x" * MIB}]}
    with TestClient(application(fake, budget=budget, max_json_bytes=20 * MIB)) as client:
        refused = post(client, "/v1/chat/completions", large)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert refused.json()["error"]["code"] == "out_of_memory"
        assert fake.asked == []
        assert post(client, "/v1/chat/completions", HI).status_code == 200
        assert client.get("/livez").status_code == 200
        full.release()
        assert post(client, "/v1/chat/completions", large).status_code == 200
        assert "edge_serve_held_bytes_limit 4.194304e+06" in client.get("/metrics").text


def fails(stream: Stream) -> None:
    stream.fail(ModelLoading("gone", retry_after_s=1))


def breaks(_: Stream) -> None:
    raise RuntimeError("a defect")


@pytest.mark.parametrize("script", [says("x" * MIB), says(), fails, breaks])
@pytest.mark.parametrize("stream", [False, True])
def test_whatever_becomes_of_a_large_request_its_memory_comes_back(
    fake: FakeDispatcher, script: Script, stream: bool
) -> None:
    """All of it, at once, and without the garbage collector's help."""
    budget, streams, held = Budget(8 * MIB), list[weakref.ref[Stream]](), []

    def keep(of: Stream) -> None:
        streams.append(weakref.ref(of))
        held.append(budget.held_bytes)
        script(of)

    fake.script = keep
    asked = {**HI, "stream": stream, "messages": [{"role": "user", "content": "x" * MIB}]}
    gc.disable()
    try:
        with TestClient(
            application(fake, budget=budget, max_json_bytes=2 * MIB), raise_server_exceptions=False
        ) as client:
            post(client, "/v1/chat/completions", asked)
        assert held[0] > 3 * MIB
        assert budget.held_bytes == 0
        assert script is breaks or streams[0]() is None  # pytest keeps what was logged
    finally:
        gc.enable()


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_an_answer_rendered_in_pieces_is_one_answer(fake: FakeDispatcher, encoding: str) -> None:
    count, dimensions = 600, 512
    numbers = array.array("f", range(count * dimensions))
    fake.script = embeds(numbers.tobytes(), count)
    asked = {"model": "org/embed", "input": "a", "encoding_format": encoding}
    with TestClient(application(fake)) as client:
        answer = post(client, "/v1/embeddings", asked)
    rows = [row["embedding"] for row in answer.json()["data"]]
    assert [row["index"] for row in answer.json()["data"]] == list(range(count))
    if encoding == "base64":
        assert b"".join(map(base64.b64decode, rows)) == numbers.tobytes()
    else:
        assert [value for row in rows for value in row] == list(numbers)
    assert answer.json()["model"] == "org/embed"
