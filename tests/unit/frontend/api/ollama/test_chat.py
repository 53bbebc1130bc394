"""POST /api/chat: what is asked of the model, and what its answer looks like."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import orjson
import pytest
from starlette.testclient import TestClient

from frontend.api.ollama.answer import OllamaAnswer, as_message
from frontend.api.whole_answer import WholeAnswer
from frontend.dispatch.stream import Stream
from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest, QueueFull, WorkerCrashed
from ipc.messages.events import (
    CallArguments,
    CallOpened,
    ChatResult,
    Delta,
    Done,
    Finish,
    Marks,
    Piece,
    Reasoning,
    TokenizeResult,
    TokenLogprob,
    Usage,
)
from ipc.messages.jobs import Image, Json, Message, Sampling, Text, TokenizeInput, Tool, ToolCall
from ipc.messages.state import ModelState
from tests.unit.frontend.http_fakes import CHAT, FakeDispatcher, application, says

HI: dict[str, Any] = {"model": "org/chat", "messages": [{"role": "user", "content": "hi"}]}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n....").decode()
USAGE = Usage(prompt_tokens=7, completion_tokens=5)
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object"}, "description": "of a city"},
}


@pytest.fixture
def fake() -> FakeDispatcher:
    return FakeDispatcher(says("Hel", "lo"))


@pytest.fixture
def client(fake: FakeDispatcher) -> Iterator[TestClient]:
    with TestClient(application(fake, ollama=True)) as client:
        yield client


def lines(body: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in body.splitlines()]


def untimed(line: dict[str, Any]) -> dict[str, Any]:
    """``line`` without when it was made and what it took, which must be there."""
    assert time.time() - 60 < _seconds(line.pop("created_at")) < time.time() + 60
    if line["done"] and line["done_reason"] != "load":
        for name in ("total_duration", "prompt_eval_duration", "eval_duration"):
            assert isinstance(line.pop(name), int)
    return line


def _seconds(timestamp: str) -> float:
    assert timestamp.endswith("Z")
    return datetime.fromisoformat(timestamp).timestamp()


def answered(*pieces: Piece, finish: Finish = "stop") -> list[dict[str, Any]]:
    """The lines of an answer of ``pieces``, each of which comes by itself."""
    form = OllamaAnswer("m", as_message).streamed()
    done = Done("job", ChatResult(finish=finish, usage=USAGE))
    body = b"".join(form.render([item]) for item in (*pieces, done))
    return [untimed(line) for line in lines(body)]


# --- answers ---


def test_an_answer_is_a_stream_where_nothing_else_is_asked_for(client: TestClient) -> None:
    answer = client.post("/api/chat", json=HI)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [untimed(line) for line in lines(answer.content)] == [
        {
            "model": "org/chat",
            "message": {"role": "assistant", "content": "Hel"},
            "done": False,
        },
        {
            "model": "org/chat",
            "message": {"role": "assistant", "content": "lo"},
            "done": False,
        },
        {
            "model": "org/chat",
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            "load_duration": 0,
            "prompt_eval_count": 7,
            "eval_count": 2,
        },
    ]


def test_a_whole_answer_is_one_object(client: TestClient) -> None:
    answer = client.post("/api/chat", json={**HI, "stream": False})
    assert answer.headers["content-type"] == "application/json"
    assert untimed(answer.json()) == {
        "model": "org/chat",
        "message": {"role": "assistant", "content": "Hello"},
        "done": True,
        "done_reason": "stop",
        "load_duration": 0,
        "prompt_eval_count": 7,
        "eval_count": 2,
    }


def test_an_answer_has_the_name_that_was_asked_for(
    client: TestClient, fake: FakeDispatcher
) -> None:
    answer = client.post("/api/chat", json={**HI, "model": "org/chat:latest"})
    assert {line["model"] for line in lines(answer.content)} == {"org/chat:latest"}
    assert fake.sizes[0][0] == "org/chat"


def test_a_name_with_the_tag_of_its_own_is_that_model(fake: FakeDispatcher) -> None:
    fake.aliases = {"org/chat:latest": "org/embed"}
    with TestClient(application(fake, ollama=True)) as client:
        answer = client.post("/api/chat", json={**HI, "model": "org/chat:latest"})
    assert (answer.status_code, answer.json()) == (400, {"error": "served elsewhere"})


def test_durations_are_those_of_the_engine() -> None:
    face = OllamaAnswer("m", as_message)
    answer = WholeAnswer()
    answer.add(Delta("job", "x"))
    answer.marks = Marks(began_s=1.0, first_s=3.0, ended_s=4.0)
    result = ChatResult(finish="length", usage=USAGE)
    whole = orjson.loads(face.whole(answer, result))
    assert whole["prompt_eval_duration"] == 2e9
    assert whole["done_reason"] == "length"
    form = face.streamed()
    form.render([Delta("job", "x")])
    last = orjson.loads(form.render([Done("job", result, marks=answer.marks)]))
    assert last["prompt_eval_duration"] == 2e9
    assert last["total_duration"] >= last["eval_duration"] >= 0


def test_a_whole_answer_is_timed_from_when_the_engine_began(
    client: TestClient, fake: FakeDispatcher
) -> None:
    def read_for_two_seconds(stream: Stream) -> None:
        now = stream.dispatched_at = time.monotonic()
        stream.push(Delta("job", "x"), now)
        marks = Marks(began_s=1.0, first_s=3.0)
        stream.push(Done("job", ChatResult(finish="stop", usage=USAGE), marks=marks), now)

    fake.script = read_for_two_seconds
    whole = client.post("/api/chat", json={**HI, "stream": False}).json()
    assert whole["prompt_eval_duration"] == 2e9


def test_what_the_model_thinks_stands_beside_the_content() -> None:
    told = answered(Reasoning("job", "Hm."), Delta("job", "Yes"))
    assert [line["message"] for line in told] == [
        {"role": "assistant", "content": "", "thinking": "Hm."},
        {"role": "assistant", "content": "Yes"},
        {"role": "assistant", "content": ""},
    ]


def test_a_call_is_told_once_it_is_whole_with_its_arguments_as_an_object() -> None:
    told = answered(
        Delta("job", "I look."),
        CallOpened("job", 0, "call_a", "weather"),
        CallArguments("job", 0, '{\n"city": '),
        CallArguments("job", 0, '"Ulm\\n"}'),
        CallOpened("job", 1, "call_b", "time"),
        CallArguments("job", 1, "{}"),
        finish="tool_calls",
    )
    assert [line["message"] for line in told[1:3]] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "call_a",
                    "function": {"index": 0, "name": "weather", "arguments": {"city": "Ulm\n"}},
                }
            ],
        },
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "call_b", "function": {"index": 1, "name": "time", "arguments": {}}}
            ],
        },
    ]
    assert (len(told), told[-1]["done_reason"]) == (4, "stop")


def test_a_whole_answer_has_the_same_calls() -> None:
    answer = WholeAnswer()
    for piece in (
        CallOpened("job", 0, "call_a", "weather"),
        CallArguments("job", 0, '{"city":"Ulm"}'),
    ):
        answer.add(piece)
    result = ChatResult(finish="tool_calls", usage=USAGE)
    whole = orjson.loads(OllamaAnswer("m", as_message).whole(answer, result))
    assert whole["message"]["tool_calls"] == [
        {
            "id": "call_a",
            "function": {"index": 0, "name": "weather", "arguments": {"city": "Ulm"}},
        }
    ]


def test_a_call_that_breaks_off_is_no_object_and_is_left_out() -> None:
    told = answered(
        CallOpened("job", 0, "call_a", "weather"),
        CallArguments("job", 0, '{"city": "U'),
        finish="length",
    )
    assert [(line["message"], line["done"]) for line in told] == [
        ({"role": "assistant", "content": ""}, True)
    ]
    assert told[0]["done_reason"] == "length"


def test_likely_tokens_come_with_their_text() -> None:
    logprob = TokenLogprob(7, b"Hi", -0.5, [TokenLogprob(8, b"Ho", -1.0)])
    told = answered(Delta("job", "Hi", logprobs=[logprob]))
    assert told[0]["logprobs"] == [
        {
            "token": "Hi",
            "logprob": -0.5,
            "bytes": [72, 105],
            "top_logprobs": [{"token": "Ho", "logprob": -1.0, "bytes": [72, 111]}],
        }
    ]


# --- errors ---


def test_silence_is_no_line() -> None:
    form = OllamaAnswer("m", as_message).streamed()
    body = form.keepalive() + form.render([Delta("job", "x")])
    assert [line["message"]["content"] for line in lines(body)] == ["x"]


def test_a_stream_that_fails_ends_with_an_error(client: TestClient, fake: FakeDispatcher) -> None:
    def breaks(stream: Stream) -> None:
        stream.push(Delta("job", "Hel"), time.monotonic())
        stream.fail(WorkerCrashed("it stopped"))

    fake.script = breaks
    answer = client.post("/api/chat", json=HI)
    assert answer.status_code == 200
    assert lines(answer.content)[-1] == {"error": "it stopped"}


def test_errors_are_a_text(client: TestClient, fake: FakeDispatcher) -> None:
    fake.script = lambda stream: stream.fail(QueueFull("too many", retry_after_s=3))
    answer = client.post("/api/chat", json=HI)
    assert (answer.status_code, answer.json()) == (429, {"error": "too many"})
    assert answer.headers["retry-after"] == "3"
    answer = client.post("/api/chat", json={**HI, "model": "org/none"})
    assert (answer.status_code, answer.json()) == (404, {"error": "no such model"})
    answer = client.get("/api/chat")
    assert (answer.status_code, answer.json()) == (
        405,
        {"error": "/api/chat takes POST, not GET"},
    )


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"messages": "x"}, "`messages` must be an array"),
        ({"messages": [{"role": "boss"}]}, "`messages[0].role` must be one of system, user"),
        ({"options": {"temperature": 3}}, "`options.temperature` must be at most 2"),
        ({"options": {"mirostat": 1}}, "`options.mirostat` is not supported: not built"),
        ({"options": {"typical_p": 0.5}}, "`options.typical_p` is not supported"),
        (
            {"options": {"repeat_penalty": 1.1, "repeat_last_n": 64}},
            "`options.repeat_last_n` is not supported: penalties see all tokens",
        ),
        ({"keep_alive": "5"}, "`keep_alive` must match"),
        (
            {"keep_alive": True},
            '`keep_alive` must be a number of seconds or a duration such as "5m"',
        ),
        ({"top_logprobs": 2}, "`top_logprobs` needs `logprobs` true"),
        ({"think": "hard"}, "`think` must be true, false or one of none"),
        ({"format": 3}, "`format` must be a JSON Schema or the text of one"),
        ({"format": {"type": "object", "not": {}}}, "`format`"),
        ({"tools": [WEATHER, WEATHER]}, "`tools[1].function.name` must differ"),
        (
            {"messages": [{"role": "user", "content": "hi", "images": [PNG]}]},
            "`messages[0].images[0]`: model 'org/chat' reads text only, no images",
        ),
        ({"_debug_render_only": True}, "`_debug_render_only` is not supported"),
    ],
)
def test_a_wrong_request_is_told_in_its_own_words(
    client: TestClient, fake: FakeDispatcher, changes: dict[str, Any], error: str
) -> None:
    answer = client.post("/api/chat", json={**HI, **changes})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(error)
    assert not fake.asked


def test_an_image_that_is_none_is_named_where_it_was_sent(fake: FakeDispatcher) -> None:
    fake.specs["org/chat"] = msgspec.structs.replace(CHAT, engine="echo", vision=True)
    turns = [{"role": "user", "content": "hi"}, {"role": "user", "images": [PNG, "aGk="]}]
    with TestClient(application(fake, ollama=True)) as client:
        answer = client.post("/api/chat", json={"model": "org/chat", "messages": turns})
    told = "`messages[1].images[1]` is not a PNG, JPEG, WEBP or GIF image"
    assert (answer.status_code, answer.json()) == (400, {"error": told})


# --- what is asked ---


def test_each_option_is_asked_of_the_model(client: TestClient, fake: FakeDispatcher) -> None:
    options = {
        "num_predict": 9,
        "temperature": 0.5,
        "top_p": 0.8,
        "top_k": 40,
        "min_p": 0.1,
        "seed": 3,
        "stop": ["\n"],
        "repeat_penalty": 1.1,
        "repeat_last_n": -1,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
        "num_ctx": 8192,
        "num_gpu": 1,
        "num_keep": 4,
        "mirostat": 0,
        "typical_p": 1.0,
    }
    assert client.post("/api/chat", json={**HI, "options": options}).status_code == 200
    assert fake.asked[0].sampling == Sampling(
        max_tokens=9,
        temperature=0.5,
        top_p=0.8,
        top_k=40,
        min_p=0.1,
        seed=3,
        stop=["\n"],
        repetition_penalty=1.1,
        presence_penalty=0.2,
        frequency_penalty=0.3,
    )


@pytest.mark.parametrize("limit", [-2, -1, 0])
def test_no_limit_and_any_seed_are_the_models_own(
    client: TestClient, fake: FakeDispatcher, limit: int
) -> None:
    client.post("/api/chat", json={**HI, "options": {"num_predict": limit, "seed": -1}})
    assert fake.asked[0].sampling == Sampling(max_tokens=100)


def test_a_chat_is_asked_with_all_that_belongs_to_it(
    client: TestClient, fake: FakeDispatcher
) -> None:
    answer = client.post(
        "/api/chat",
        json={
            **HI,
            "tools": [WEATHER],
            "think": False,
            "format": {"type": "object"},
            "keep_alive": "300s",
            "logprobs": True,
            "top_logprobs": 2,
        },
    )
    assert answer.status_code == 200, answer.text
    (asked,) = fake.asked
    assert asked.tools == [
        Tool(name="weather", description="of a city", parameters='{"type":"object"}')
    ]
    assert asked.template_args == {"enable_thinking": False, "thinking": False}
    assert asked.form == Json(schema='{"type":"object"}')
    assert asked.sampling.logprobs == 2


@pytest.mark.parametrize("keep_alive", [0, -1, 300, 2.5, "0", "5m", "300s", "-1s", "1h30m", ".5s"])
def test_a_time_to_stay_is_understood(client: TestClient, keep_alive: object) -> None:
    assert client.post("/api/chat", json={**HI, "keep_alive": keep_alive}).status_code == 200


def test_images_are_read_before_the_text(fake: FakeDispatcher) -> None:
    fake.specs["org/chat"] = msgspec.structs.replace(CHAT, vision=True)
    turn = {
        "role": "user",
        "content": "what is it?",
        "images": [PNG, f"data:image/png;base64,{PNG}"],
    }
    with TestClient(application(fake, ollama=True)) as client:
        answer = client.post("/api/chat", json={"model": "org/chat", "messages": [turn]})
    assert answer.status_code == 200, answer.text
    image = Image(Blob(base64.b64decode(PNG)))
    assert fake.asked[0].messages == [Message("user", [image, image, Text("what is it?")])]


def call(name: str, **arguments: object) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}}


def test_results_without_ids_are_those_of_the_calls_in_their_order(
    client: TestClient, fake: FakeDispatcher
) -> None:
    turns = [
        {"role": "user", "content": "lights?"},
        {"role": "assistant", "content": "", "tool_calls": [call("on", area="a"), call("off")]},
        {"role": "tool", "content": "1"},
        {"role": "tool", "content": "2"},
    ]
    assert client.post("/api/chat", json={**HI, "messages": turns}).status_code == 200
    assert fake.asked[0].messages[1:] == [
        Message(
            "assistant",
            "",
            tool_calls=[
                ToolCall(id="call_1_0", name="on", arguments='{"area":"a"}'),
                ToolCall(id="call_1_1", name="off", arguments="{}"),
            ],
        ),
        Message("tool", "1", tool_call_id="call_1_0", name="on"),
        Message("tool", "2", tool_call_id="call_1_1", name="off"),
    ]


def test_results_are_found_by_the_name_of_their_tool_or_by_an_id(
    client: TestClient, fake: FakeDispatcher
) -> None:
    calls = [call("on"), call("off"), {"id": "mine", **call("on")}]
    turns = [
        {"role": "assistant", "tool_calls": calls, "thinking": "Hm."},
        {"role": "tool", "content": "1", "tool_call_id": "mine"},
        {"role": "tool", "content": "2", "tool_name": "off"},
        {"role": "tool", "content": "3", "tool_name": "on"},
        {"role": "tool", "content": "4", "tool_name": "gone"},
    ]
    assert client.post("/api/chat", json={**HI, "messages": turns}).status_code == 200
    first, *results = fake.asked[0].messages
    assert first.reasoning == "Hm."
    assert [(turn.content, turn.tool_call_id, turn.name) for turn in results] == [
        ("1", "mine", "on"),
        ("2", "call_0_1", "off"),
        ("3", "call_0_0", "on"),
        ("4", "call_4", "gone"),
    ]


# --- a model is only to be loaded ---


def test_without_messages_the_answer_says_that_the_model_is_loaded(
    client: TestClient, fake: FakeDispatcher
) -> None:
    answer = client.post("/api/chat", json={"model": "org/chat"})
    assert [untimed(line) for line in lines(answer.content)] == [
        {
            "model": "org/chat",
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "load",
        }
    ]
    assert not fake.asked


def test_a_model_that_is_not_loaded_is_not_said_to_be(
    client: TestClient, fake: FakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading = ModelState(name="org/chat", routes=[], state="starting")
    monkeypatch.setattr(fake, "state", lambda _name: loading)
    answer = client.post("/api/chat", json={"model": "org/chat", "messages": []})
    assert (answer.status_code, answer.json()) == (503, {"error": "model 'org/chat' is loading"})


@pytest.mark.parametrize("tokenizes", [True, False])
def test_a_model_that_is_out_is_loaded_for_it(
    client: TestClient, fake: FakeDispatcher, monkeypatch: pytest.MonkeyPatch, tokenizes: bool
) -> None:
    rare = msgspec.structs.replace(CHAT, load="on_demand")
    out = ModelState(name="org/chat", routes=[], state="unloaded")
    monkeypatch.setattr(fake, "state", lambda _name: out)
    monkeypatch.setattr(fake, "spec", lambda _name, _task: rare)
    loaded = Done("job", TokenizeResult(rows=[[]]))
    refused = InvalidRequest("it has no tokenizer of its own")

    def script(stream: Stream) -> None:
        if tokenizes:
            stream.push(loaded, time.monotonic())
        else:
            stream.fail(refused)

    fake.script = script
    answer = client.post("/api/chat", json={"model": "org/chat", "messages": []})
    assert lines(answer.content)[0]["done_reason"] == "load"
    assert fake.asked == [TokenizeInput(texts=[""])]
