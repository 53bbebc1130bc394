"""A live session outlives the jobs that hear it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from frontend.dispatch.budget import Budget
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.stream import Stream
from frontend.live.session import LiveSession, Lost
from frontend.live.sessions import LiveSessions
from ipc.messages.blob import Blob
from ipc.messages.errors import QueueFull
from ipc.messages.events import Done, Event, SpeechResult, Turn, Usage
from ipc.messages.jobs import Live, More, SpeechInput
from ipc.messages.keys import ApiKey
from ipc.messages.state import ModelState, Route
from tests.unit.frontend.dispatch.history import SPEC, World

ASKED = SpeechInput(audio=Blob(b""), streamed=True, live=Live())
SPEECH = msgspec.structs.replace(SPEC, task="speech", slots=2)
RESULT = SpeechResult(
    text="", language="en", duration_s=1.0, segments=[], words=None, usage=Usage()
)


class Scene:
    """One session with a dispatcher whose worker says what a test wants."""

    def __init__(self) -> None:
        self.world = World()
        self.dispatcher = Dispatcher([SPEECH], self.world)
        self.route = "w.1"
        self._start(1)
        self.session = LiveSession(self._open, ASKED)
        self.told: list[str] = []

    def _start(self, generation: int) -> None:
        route = Route(replica="w", generation=generation, endpoint="", credit=2)
        self.dispatcher.set_states([ModelState(name="m", routes=[route], state="ready")])
        self.route = f"w.{generation}"
        self.world.listeners[self.route].on_open(self.route, True)

    def crash(self) -> None:
        listener, gone = self.world.listeners[self.route], self.route
        self.dispatcher.set_states(
            [ModelState(name="m", routes=[], state="starting", was_ready=True)]
        )
        listener.on_route_closed(gone)
        self._start(2)

    def _open(self, asked: SpeechInput) -> Stream:
        return self.dispatcher.submit("a", SPEECH, asked, 0, Budget(1 << 30).open())

    def says(self, *events: Event) -> None:
        self.world.listeners[self.route].on_events(events)

    async def listen(self) -> None:
        async for event in self.session.events():
            if isinstance(event, Lost):
                self.told.append(f"lost {event.turns} {event.error.code}")
            else:
                self.told.append(f"{event.turn} {event.what}")


def scene(play: Callable[[Scene], Awaitable[None]]) -> list[str]:
    """What a session tells while ``play`` goes on."""

    async def run() -> list[str]:
        one = Scene()
        listening = asyncio.create_task(one.listen())
        await play(one)
        await turns()
        listening.cancel()
        return one.told

    return asyncio.run(run())


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def turn(number: int, what: str) -> Turn:
    return Turn("a", number, what)  # type: ignore[arg-type]


def test_turns_are_told_and_the_end_comes_behind_them() -> None:
    async def play(one: Scene) -> None:
        await one.session.append(b"x")
        one.says(turn(0, "started"), turn(0, "committed"))
        await one.session.finish()
        one.says(turn(0, "ended"), Done("a", RESULT))
        await turns()
        assert one.world.did[-1] == "piece 1 of a to w.1, the last"

    assert scene(play) == ["0 started", "0 committed", "0 ended"]


def test_a_job_that_is_lost_takes_its_open_turns_and_the_next_has_numbers_of_its_own() -> None:
    async def play(one: Scene) -> None:
        await one.session.append(b"x")
        one.says(turn(0, "started"), turn(0, "ended"), turn(1, "started"))
        await turns()
        one.crash()
        await turns()
        assert not one.session.has_begun
        await one.session.append(b"y")
        one.says(turn(0, "started"))

    assert scene(play) == [
        "0 started",
        "0 ended",
        "1 started",
        "lost (1,) worker_crashed",
        "2 started",
    ]


def test_a_session_that_is_closed_drops_its_job() -> None:
    async def play(one: Scene) -> None:
        await one.session.append(b"x")
        one.session.close()
        assert one.world.did[-1] == "cancel a at w.1"

    assert scene(play) == ["lost () client_closed_request"]


def test_what_is_said_comes_where_it_was_said() -> None:
    async def play(one: Scene) -> None:
        sent: list[More] = []
        send = one.world.send

        def note(route: str, message: object) -> bool:
            if isinstance(message, More):
                sent.append(message)
            return send(route, message)  # type: ignore[arg-type]

        one.world.send = note  # type: ignore[method-assign]
        await one.session.retune(ASKED)  # nothing hears it yet: the job begins with it
        await one.session.append(b"x")
        await one.session.commit()
        await one.session.clear()
        await one.session.retune(ASKED)
        assert [more.said for more in sent] == [None, "commit", "clear", ASKED]

    assert scene(play) == []


def test_a_model_has_no_more_sessions_than_slots() -> None:
    sessions = LiveSessions()
    with (
        sessions.place(SPEECH),
        sessions.place(SPEECH),
        pytest.raises(QueueFull, match="2 live sessions"),
        sessions.place(SPEECH),
    ):
        pass
    with sessions.place(SPEECH):
        pass


def test_sessions_are_ended_once_where_the_server_stops() -> None:
    sessions, ended = LiveSessions(), list[str]()
    with sessions.ended_by(lambda why: ended.append(f"a {why}")):
        with sessions.ended_by(lambda why: ended.append(f"b {why}")):
            pass
        sessions.end()
    sessions.end()
    assert ended == ["a stopping"]


def test_a_session_is_ended_where_its_key_is_not_what_it_was() -> None:
    sessions, ended = LiveSessions(), list[str]()
    ann, bob = ApiKey.of("sk-ann"), ApiKey.of("sk-bob")
    sessions.know({"ann": ann, "bob": bob})
    with (
        sessions.ended_by(lambda _: ended.append("ann"), "ann"),
        sessions.ended_by(lambda _: ended.append("bob"), "bob"),
        sessions.ended_by(lambda _: ended.append("nobody"), None),
    ):
        sessions.know({"ann": ann, "bob": bob, "cid": ApiKey.of("sk-cid")})
        assert ended == []
        sessions.know({"ann": ann})
        assert ended == ["bob"]
        sessions.know({"ann": ApiKey.of("sk-other")})
        assert ended == ["bob", "ann"]
