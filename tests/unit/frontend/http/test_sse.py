"""Streams: what goes out, when the status is chosen, and how a stream may end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import orjson
import pytest
from starlette.types import Message

from frontend.api.openai.chat_answer import Completion
from frontend.dispatch.budget import Budget
from frontend.dispatch.estimates.standing import Standing
from frontend.dispatch.stream import LOGPROB_CHARS, MAX_HELD_CHARS, Stream, held_chars
from frontend.http import answer_stream
from frontend.http.answer_stream import GAPS_AT_ONCE, AnswerStream, StreamForm
from frontend.http.ndjson import NdjsonForm
from frontend.http.request_context import RequestContext
from frontend.http.sse import KEEPALIVE
from ipc.messages.errors import OutOfMemory, WorkerCrashed
from ipc.messages.events import (
    CallArguments,
    CallOpened,
    Delta,
    Piece,
    Reasoning,
    TokenLogprob,
)
from tests.unit.frontend.http_fakes import chat_done

PATIENCE_S = 20.0
WAITS = Standing(state="queued", position=3, start_s=4.2)
RUNS = Standing(state="running", position=0)
LIKELY = TokenLogprob(7, b"x", -0.5, [TokenLogprob(8, b"y", -1.5)])


class Client:
    """The far end of one streamed answer."""

    def __init__(self, keepalive_s: float = 15.0, **headers: str) -> None:
        self.cancelled: list[str] = []
        self.standing: Standing | None = None
        claim = Budget(0).open()
        self.stream = Stream(
            "job", time.monotonic(), self.cancelled.append, claim, lambda _: self.standing
        )
        self._headers = [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ]
        self.context = RequestContext()
        self.form: StreamForm | None = None
        self.sent: list[Message] = []
        self.gaps: list[float] = []
        self.arrival = asyncio.Condition()
        self.left = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()
        self._keepalive_s = keepalive_s

    async def run(self) -> None:
        form = Completion("org/chat", "fp_0").streamed()
        answer = AnswerStream(self.stream, self.form or form, self._keepalive_s, self.gaps.append)
        scope = {"type": "http", "context": self.context, "headers": self._headers}
        await answer(scope, self._receive, self._send)

    async def sees(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self.arrival:
            await self.arrival.wait_for(condition)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    def has(self, text: str) -> bool:
        return text.encode() in self.body

    async def _receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        async with self.arrival:
            self.sent.append(message)
            self.arrival.notify_all()


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def say(stream: Stream, *texts: str) -> None:
    for text in texts:
        stream.push(Delta("job", text), time.monotonic())


def chunks(body: bytes) -> list[Any]:
    lines = [line for line in body.decode().split("\n\n") if line.startswith("data: {")]
    return [orjson.loads(line.removeprefix("data: ")) for line in lines]


def test_every_event_that_is_there_goes_out_in_one_message() -> None:
    async def scene() -> None:
        client = Client()
        say(client.stream, "a", "b", "", "c")
        client.stream.push(chat_done(), time.monotonic())
        await client.run()
        start, body, end = client.sent
        assert start["status"] == 200
        assert dict(start["headers"])[b"content-type"] == b"text/event-stream; charset=utf-8"
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks(body["body"])]
        assert deltas == [
            {"role": "assistant", "content": ""},
            {"content": "a"},
            {"content": "b"},
            {"content": "c"},
            {},
        ]
        assert body["body"].endswith(b"data: [DONE]\n\n")
        assert (end["body"], end["more_body"]) == (b"", False)
        assert client.cancelled == []

    play(scene)


def test_a_failure_before_the_first_byte_keeps_its_own_status() -> None:
    async def scene() -> None:
        client = Client()
        client.stream.fail(WorkerCrashed("the worker stopped"))
        with pytest.raises(WorkerCrashed):
            await client.run()
        assert client.sent == []

    play(scene)


def test_a_failure_after_the_first_byte_is_the_last_event() -> None:
    async def scene() -> None:
        client = Client()
        say(client.stream, "a")
        client.stream.fail(WorkerCrashed("the worker stopped"))
        await client.run()
        assert chunks(client.body)[-1] == {
            "error": {
                "message": "the worker stopped",
                "type": "server_error",
                "param": None,
                "code": "worker_crashed",
            }
        }
        assert b"[DONE]" not in client.body
        assert client.sent[-1]["more_body"] is False
        assert (client.context.status, client.context.error) == (503, "worker_crashed")

    play(scene)


def test_silence_is_filled_with_comments() -> None:
    async def scene() -> None:
        client = Client(keepalive_s=0.001)
        running = asyncio.create_task(client.run())
        await client.sees(lambda: client.body.count(KEEPALIVE) >= 3)
        assert client.body.replace(KEEPALIVE, b"") == b""
        say(client.stream, "late")
        client.stream.push(chat_done(), time.monotonic())
        await running
        assert chunks(client.body)[1]["choices"][0]["delta"] == {"content": "late"}

    play(scene)


def test_who_asks_for_it_is_told_at_once_how_its_stream_waits() -> None:
    async def scene() -> None:
        client = Client(x_progress="1")
        client.standing = WAITS
        running = asyncio.create_task(client.run())
        await client.sees(lambda: client.body == b": queue position=3 eta=4.2s\n\n")
        assert client.sent[0]["status"] == 200
        client.standing = RUNS
        say(client.stream, "a")
        client.stream.push(chat_done(), time.monotonic())
        await running
        assert chunks(client.body)[1]["choices"][0]["delta"] == {"content": "a"}

    play(scene)


def test_who_has_asked_for_it_is_told_in_the_stream_how_it_failed() -> None:
    async def scene() -> None:
        client = Client(x_progress="1")
        client.standing = WAITS
        running = asyncio.create_task(client.run())
        await client.sees(lambda: client.has("position=3"))
        client.stream.fail(WorkerCrashed("the worker stopped"))
        await running
        assert chunks(client.body)[-1]["error"]["code"] == "worker_crashed"
        assert (client.context.status, client.context.error) == (503, "worker_crashed")

    play(scene)


def test_whoever_waits_after_the_headers_is_told_where_each_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answer_stream, "PERIOD_S", 0.001)

    async def scene() -> None:
        client = Client(keepalive_s=0.01)
        client.standing = WAITS
        running = asyncio.create_task(client.run())
        await client.sees(lambda: client.body.count(b": queue position=3 eta=4.2s\n\n") >= 3)
        assert KEEPALIVE not in client.body
        client.standing = RUNS
        await client.sees(lambda: KEEPALIVE in client.body)
        client.stream.fail(WorkerCrashed("the worker stopped"))
        await running
        assert chunks(client.body)[-1]["error"]["code"] == "worker_crashed"

    play(scene)


@pytest.mark.parametrize("headers", [{}, {"x_progress": "1"}], ids=["plain", "x-progress"])
def test_whoever_waits_for_the_next_worker_is_told_where_each_second(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """Its keep-alive is much later."""
    monkeypatch.setattr(answer_stream, "PERIOD_S", 0.001)

    async def scene() -> None:
        client = Client(keepalive_s=60.0, **headers)
        client.standing = RUNS
        say(client.stream, "a")
        running = asyncio.create_task(client.run())
        await client.sees(lambda: client.has('"content":"a"'))
        client.stream.migrate(time.monotonic())
        client.standing = WAITS
        await client.sees(lambda: client.body.count(b": queue position=3 eta=4.2s\n\n") >= 3)
        assert client.body.count(b": migrated\n\n") == 1
        client.stream.push(chat_done(), time.monotonic())
        await running

    play(scene)


def test_a_stream_that_does_not_wait_keeps_its_status_open_whatever_is_asked() -> None:
    async def scene() -> None:
        client = Client(x_progress="1")
        client.standing = RUNS
        client.stream.fail(WorkerCrashed("the worker stopped"))
        with pytest.raises(WorkerCrashed):
            await client.run()
        assert client.sent == []

    play(scene)


def test_a_form_without_comments_is_told_nothing() -> None:
    async def scene() -> None:
        client = Client(keepalive_s=0.001, x_progress="1")
        client.form = NdjsonForm(lambda _: b"x", str)
        client.standing = WAITS
        running = asyncio.create_task(client.run())
        await client.sees(lambda: len(client.body) >= 2)
        client.stream.push(chat_done(), time.monotonic())
        await running
        assert set(client.body) == {ord(" "), ord("x")}

    play(scene)


def test_a_client_that_leaves_cancels_the_job() -> None:
    async def scene() -> None:
        client = Client()
        say(client.stream, "a")
        running = asyncio.create_task(client.run())
        await client.sees(partial(client.has, '"a"'))
        client.left.set()
        await running
        assert client.cancelled == ["job"]
        assert (client.context.status, client.context.error) == (499, "client_closed_request")
        assert client.sent[-1]["more_body"] is True

    play(scene)


def test_a_cancellation_from_outside_is_not_taken_for_a_client_that_left() -> None:
    async def scene() -> None:
        client = Client()
        running = asyncio.create_task(client.run())
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert client.cancelled == ["job"]

    play(scene)


def test_gaps_are_measured_between_batches_of_text() -> None:
    async def scene() -> None:
        client = Client()
        running = asyncio.create_task(client.run())
        for text in ("a", "b", "c"):
            say(client.stream, text)
            await client.sees(partial(client.has, f'"{text}"'))
        client.stream.push(chat_done(), time.monotonic())
        await running
        assert len(client.gaps) == 2

    play(scene)


def test_gaps_of_an_answer_that_its_client_leaves_are_told() -> None:
    async def scene() -> None:
        client = Client()
        running = asyncio.create_task(client.run())
        for text in ("a", "b"):
            say(client.stream, text)
            await client.sees(partial(client.has, f'"{text}"'))
        client.left.set()
        await running
        assert len(client.gaps) == 1

    play(scene)


def test_gaps_of_a_long_answer_are_told_while_it_is_written() -> None:
    async def scene() -> None:
        client = Client()
        running = asyncio.create_task(client.run())
        for number in range(GAPS_AT_ONCE + 1):
            say(client.stream, f"{number}.")
            await client.sees(partial(client.has, f'"{number}."'))
        assert len(client.gaps) == GAPS_AT_ONCE
        client.stream.push(chat_done(), time.monotonic())
        await running
        assert len(client.gaps) == GAPS_AT_ONCE

    play(scene)


def test_a_chunk_is_the_same_whether_or_not_its_frame_was_rendered_before() -> None:
    text = 'quotes " and \\ and \n and ü and </script>'
    render = Completion('odd "name"', "fp_0", include_usage=True).streamed().render
    opening, chunk = chunks(render([Delta("job", text)]))
    assert chunk["choices"] == [
        {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    ]
    assert chunk["usage"] is None
    assert {**opening, "choices": None} == {**chunk, "choices": None}


def test_usage_comes_last_and_without_choices() -> None:
    render = Completion("org/chat", "fp_0", include_usage=True).streamed().render
    *_, last, usage = chunks(render([chat_done("length")]))
    assert last["choices"][0]["finish_reason"] == "length"
    assert usage["choices"] == []
    assert usage["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 2,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 3},
    }


def test_a_burst_is_no_sign_that_the_reader_has_left() -> None:
    """An upstream may send in one piece what it took minutes to write."""

    async def scene() -> None:
        client = Client()
        say(client.stream, *["x" * (1 << 20)] * 5)
        client.stream.push(chat_done(), time.monotonic())
        await client.run()
        text = "".join(
            chunk["choices"][0]["delta"].get("content", "") for chunk in chunks(client.body)
        )
        assert text == "x" * (5 << 20)
        assert client.context.error is None
        assert client.cancelled == []

    play(scene)


def test_a_reader_who_is_much_too_slow_reads_why_and_what_came_before() -> None:
    async def scene() -> None:
        client = Client()
        pieces = MAX_HELD_CHARS // (1 << 20)
        say(client.stream, "begun", *["x" * (1 << 20)] * pieces)
        assert client.cancelled == ["job"]
        say(client.stream, "too late")
        await client.run()
        assert client.body.count(b"x" * (1 << 20)) == pieces
        assert chunks(client.body)[-1]["error"]["code"] == "out_of_memory"
        assert b"too late" not in client.body
        assert client.context.status == 503

    play(scene)


@pytest.mark.parametrize(
    ("piece", "held"),
    [
        (Delta("job", "abc"), 3),
        (Reasoning("job", "abcd"), 4),
        (CallOpened("job", 0, "call_a", "weather"), 7),
        (CallArguments("job", 0, "{}"), 2),
        (Delta("job", "a", logprobs=[]), 1),
        (Delta("job", "a", logprobs=[LIKELY, LIKELY]), 1 + 4 * LOGPROB_CHARS),
    ],
)
def test_whatever_waits_counts_by_what_it_holds(piece: Piece, held: int) -> None:
    assert held_chars(piece) == held


def test_reasoning_that_waits_has_the_bound_of_text() -> None:
    async def scene() -> None:
        client = Client()
        for _ in range(MAX_HELD_CHARS // (1 << 20) + 1):
            client.stream.push(Reasoning("job", "x" * (1 << 20)), time.monotonic())
        assert client.cancelled == ["job"]

    play(scene)


def test_text_that_waits_is_claimed_for_as_long_as_it_waits() -> None:
    async def scene() -> None:
        budget = Budget(8 << 20)
        other = budget.open()
        other.add(4 << 20)
        cancelled: list[str] = []
        stream = Stream("job", 0.0, cancelled.append, budget.open())
        say(stream, "x" * (3 << 20))
        assert budget.held_bytes == 7 << 20
        await stream.next()
        assert budget.held_bytes == 4 << 20
        say(stream, "x" * (5 << 20))
        assert cancelled == ["job"]
        assert len(await stream.next()) == 1
        with pytest.raises(OutOfMemory):
            await stream.next()

    play(scene)
