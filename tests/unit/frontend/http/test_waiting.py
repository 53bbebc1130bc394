"""What a client is told of its request's wait, before it and after it."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from frontend.dispatch.budget import Budget
from frontend.dispatch.estimates.standing import Listening, Prefill, Standing
from frontend.dispatch.stream import Stream
from frontend.http.request_context import RequestContext
from frontend.http.waiting import comment, waiting_headers, waiting_of
from tests.unit.frontend.http_fakes import FakeDispatcher, application, says

WAITS = Standing(state="queued", position=3, start_s=4.24, end_s=9.0)
LOADS = Standing(state="loading", position=1, start_s=3.0, stage="warming up")
RUNS = Standing(state="running", position=0, start_s=0.0, end_s=1.25)
READS = Standing(
    state="running", position=0, prefill=Prefill(read_tokens=1024, prompt_tokens=8192, left_s=2.04)
)


HEARS = Standing(
    state="running", position=0, listening=Listening(heard_s=120.0, audio_s=609.34, left_s=20.06)
)


def waiting(told: Standing | None) -> RequestContext:
    """A request whose job was told this when it came, at second 10."""
    context = RequestContext()
    context.stream = Stream("job", 10.0, lambda _: None, Budget(0).open(), lambda _: told)
    context.stream.told = told
    return context


def headers(context: RequestContext) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in waiting_headers(context)}


def test_headers_that_go_out_early_tell_what_was_known_at_admission() -> None:
    assert headers(waiting(WAITS)) == {
        "x-queue-position": "3",
        "x-eta-start-ms": "4240",
        "x-eta-end-ms": "9000",
    }


def test_what_nobody_knows_is_not_told() -> None:
    assert headers(waiting(Standing(state="queued", position=2))) == {"x-queue-position": "2"}
    assert headers(RequestContext()) == {}


def test_headers_of_a_whole_answer_tell_what_came_of_it_too() -> None:
    context = waiting(WAITS)
    assert context.stream is not None
    context.stream.dispatched_at, context.stream.load_s = 15.5, 2.0
    found = headers(context)
    assert (found["x-queue-ms"], found["x-model-load-ms"]) == ("5500", "2000")


def test_lines_of_a_batch_are_told_nothing() -> None:
    context = waiting(None)
    context.background = True
    assert headers(context) == {}


@pytest.mark.parametrize(
    ("standing", "told"),
    [
        (WAITS, "queue position=3 eta=4.2s"),
        (LOADS, "loading position=1 stage=warming-up eta=3.0s"),
        (Standing(state="loading", position=2), "loading position=2 stage=waiting"),
        (RUNS, ""),
        (READS, "prefill 1024/8192 eta=2.0s"),
        (HEARS, "listening 120.0/609.3 eta=20.1s"),
        (
            Standing(state="running", position=0, listening=Listening(heard_s=28.0)),
            "listening 28.0",
        ),
        (None, ""),
    ],
)
def test_a_comment_says_how_a_stream_waits(standing: Standing | None, told: str) -> None:
    assert comment(standing) == told


def test_operators_are_told_the_same() -> None:
    assert waiting_of(waiting(WAITS)) == {
        "state": "queued",
        "position": 3,
        "eta_start_ms": 4240,
        "eta_end_ms": 9000,
        "prefill": None,
        "listening": None,
    }
    told = waiting_of(waiting(READS))
    assert told is not None
    assert told["prefill"] == {"read_tokens": 1024, "prompt_tokens": 8192, "eta_ms": 2040}
    told = waiting_of(waiting(HEARS))
    assert told is not None
    assert told["listening"] == {"heard_s": 120.0, "audio_s": 609.34, "eta_ms": 20060}
    assert waiting_of(waiting(None)) is None
    assert waiting_of(RequestContext()) is None


CHAT = {"model": "org/chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
FACES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/messages": CHAT,
    "/v1/responses": {"model": "org/chat", "input": "Hi"},
}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("path", FACES)
def test_each_face_has_the_headers(path: str, streams: bool) -> None:
    def script(stream: Stream) -> None:
        stream.told = WAITS
        says("hello")(stream)

    with TestClient(application(FakeDispatcher(script))) as client:
        answer = client.post(path, json={**FACES[path], "stream": streams})
    assert answer.status_code == 200
    assert answer.headers["x-queue-position"] == "3"
    assert answer.headers["x-eta-start-ms"] == "4240"
    assert "x-queue-ms" in answer.headers
