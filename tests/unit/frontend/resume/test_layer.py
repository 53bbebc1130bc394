"""Answers that go on without their client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message

from frontend.dispatch.budget import Budget
from frontend.dispatch.stream import Stream
from frontend.http.request_context import Client as Asker
from frontend.resume.held import BUFFER_BYTES, MAX_HELD, MOST_OF_ONE, HeldAnswer, HeldAnswers
from frontend.resume.layer import Resumable
from ipc.messages.errors import NotFound, StreamStopped

START = {"type": "http.response.start", "status": 200, "headers": []}


class App:
    """Sends a word each time that it is told to; notes how its client behaved."""

    def __init__(self, status: int = 200, *, by_model: bool = True) -> None:
        self._start = {**START, "status": status}
        self._by_model = by_model
        self.words: asyncio.Queue[str | None] = asyncio.Queue()
        self.read: list[str] = []
        self.left = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.stream = made() if self._by_model else None
        facts = {"key": "ann", "client": Asker("ann"), "stream": self.stream}
        scope["context"] = type("Context", (), facts)()
        self.read.append((await receive())["type"])
        watching = asyncio.create_task(self._watch(receive))
        await send(self._start)
        while (word := await self.words.get()) is not None:
            await send(_body(word, more=True))
        await send(_body("", more=False))
        watching.cancel()

    async def _watch(self, receive: Any) -> None:
        if (await receive())["type"] == "http.disconnect":
            self.left.set()


def _body(text: str, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": text.encode(), "more_body": more}


class Client:
    """One request on a connection that may end at any time."""

    def __init__(self, *headers: tuple[bytes, bytes], method: str = "POST") -> None:
        self.scope = {"type": "http", "method": method, "headers": [*headers]}
        self.sent: list[Message] = []
        self._says: asyncio.Queue[Message] = asyncio.Queue()
        self._says.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def receive(self) -> Message:
        return await self._says.get()

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def leave(self) -> None:
        self._says.put_nowait({"type": "http.disconnect"})

    @property
    def text(self) -> str:
        return b"".join(one.get("body", b"") for one in self.sent).decode()

    @property
    def stream_id(self) -> str:
        found: bytes = dict(self.sent[0]["headers"])[b"x-stream-id"]
        return found.decode()


ASKS = (b"x-request-resume", b"1")


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not happened():  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0)


def made() -> Stream:
    """One of a job that goes on."""
    return Stream("job", 0.0, lambda _: None, Budget(1).open())


def begin(app: App, held: HeldAnswers, client: Client) -> asyncio.Task[None]:
    return asyncio.create_task(_call(Resumable(app, held), client))


async def _call(layer: Resumable, client: Client) -> None:
    await layer(client.scope, client.receive, client.send)


async def rest(answer: HeldAnswer, offset: int) -> str:
    async with asyncio.timeout(60):
        return b"".join([piece async for piece in answer.read(offset)]).decode()


def held_by(*clients: str) -> tuple[HeldAnswers, list[HeldAnswer]]:
    """Answers of these that go on, in this order."""
    held, answers = HeldAnswers(), [HeldAnswer(client) for client in clients]
    for answer in answers:
        held.admit(answer, made().abort)
    return held, answers


def test_an_answer_goes_on_when_its_client_has_left_and_is_read_on() -> None:
    async def history() -> None:
        app, held, client = App(), HeldAnswers(), Client(ASKS)
        asking = begin(app, held, client)
        app.words.put_nowait("one ")
        await until(lambda: client.text == "one ")
        client.leave()
        await asking
        app.words.put_nowait("two ")
        answer = held.get(client.stream_id, "ann")
        reading = asyncio.create_task(rest(answer, 4))
        app.words.put_nowait("three")
        app.words.put_nowait(None)
        assert await reading == "two three"
        assert await rest(answer, 0) == "one two three"
        assert not app.left.is_set()
        with pytest.raises(NotFound):
            held.get(client.stream_id, "bob")

    asyncio.run(history())


def test_one_that_is_stopped_is_told_so_and_has_its_end() -> None:
    async def history() -> None:
        app, held, client = App(), HeldAnswers(), Client(ASKS)
        asking = begin(app, held, client)
        app.words.put_nowait("one")
        await until(lambda: client.text)
        held.get(client.stream_id, "ann").stop()
        assert app.stream is not None
        with pytest.raises(StreamStopped):
            await app.stream.next()
        assert not app.left.is_set()
        app.words.put_nowait(None)
        await asking
        assert client.sent[-1]["more_body"] is False

    asyncio.run(history())


def test_a_client_that_stays_reads_it_all() -> None:
    async def history() -> None:
        app, client = App(), Client(ASKS)
        for word in ("one ", "two", None):
            app.words.put_nowait(word)
        await Resumable(app, HeldAnswers())(client.scope, client.receive, client.send)
        assert client.text == "one two"
        assert client.sent[-1]["more_body"] is False

    asyncio.run(history())


@pytest.mark.parametrize("client", [Client(), Client((b"x-request-resume", b"0"))])
def test_who_does_not_ask_for_it_is_answered_as_ever(client: Client) -> None:
    async def history() -> None:
        app = App()
        app.words.put_nowait(None)
        await Resumable(app, HeldAnswers())(client.scope, client.receive, client.send)
        assert client.sent[0] == START

    asyncio.run(history())


def test_where_there_is_no_room_it_is_answered_as_ever() -> None:
    async def history() -> None:
        held, _ = held_by(*(f"client-{number}" for number in range(MAX_HELD)))
        app = App()
        client = Client(ASKS)
        app.words.put_nowait(None)
        await Resumable(app, held)(client.scope, client.receive, client.send)
        assert client.sent[0] == START

    asyncio.run(history())


@pytest.mark.parametrize(
    "app_of", [lambda: App(401), lambda: App(429), lambda: App(by_model=False)]
)
def test_only_what_a_model_answers_takes_room(app_of: Callable[[], App]) -> None:
    async def history() -> None:
        held = HeldAnswers()
        for _ in range(MAX_HELD + 1):
            app, client = app_of(), Client(ASKS)
            app.words.put_nowait("no")
            app.words.put_nowait(None)
            await Resumable(app, held)(client.scope, client.receive, client.send)
            assert client.text == "no"
            assert client.sent[0]["headers"] == []
        app, client = App(), Client(ASKS)
        app.words.put_nowait(None)
        await Resumable(app, held)(client.scope, client.receive, client.send)
        assert client.stream_id

    asyncio.run(history())


def test_one_client_leaves_room_for_others() -> None:
    held, answers = held_by(*["ann"] * MOST_OF_ONE, "ann", "bob")
    assert [one.held for one in answers[-2:]] == [False, True]
    answers[3].end()
    late = HeldAnswer("ann")
    held.admit(late, made().abort)
    assert late.held
    answers[4].start = dict(START)
    assert held.get(answers[4].id, None) is answers[4]
    with pytest.raises(NotFound):
        held.get(answers[3].id, None)


def test_one_that_is_not_held_ends_with_its_connection() -> None:
    async def history() -> None:
        held, _ = held_by(*(f"client-{number}" for number in range(MAX_HELD)))
        app, client = App(), Client(ASKS)
        asking = begin(app, held, client)
        app.words.put_nowait("one")
        await until(lambda: client.text)
        client.leave()
        await asking
        await until(app.left.is_set)
        app.words.put_nowait(None)

    asyncio.run(history())


@pytest.mark.parametrize("status", [200, 413])
def test_a_client_that_reads_slowly_gets_all_of_an_answer_that_is_larger_than_what_is_kept(
    status: int,
) -> None:
    async def history() -> None:
        app, held = App(status), HeldAnswers()
        client = SlowClient(ASKS)
        asking = begin(app, held, client)
        words = [f"{number:09} " * 1000 for number in range(600)]
        for word in (*words, None):
            app.words.put_nowait(word)
        await until(lambda: client.sent)
        for _ in range(50):
            await asyncio.sleep(0)
        unread = app.words.qsize()
        assert unread > 0, "the application waits for its client"
        client.reads.set()
        await asking
        assert client.text == "".join(words)
        if status != 200:
            assert (len(words) - unread) * 10_000 < 2 * BUFFER_BYTES

    asyncio.run(history())


class SlowClient(Client):
    """Reads nothing of the body until it is told to."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(*headers)
        self.reads = asyncio.Event()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            await self.reads.wait()
        await super().send(message)
