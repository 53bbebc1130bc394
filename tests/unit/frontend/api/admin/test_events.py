"""What happens to a server, as those are told who follow it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from frontend.api.admin.asked import EventsQuery
from frontend.api.admin.events import Events
from frontend.dispatch.event_feed import EventFeed
from frontend.history.events import EventHistory
from frontend.http import following
from frontend.http.following import Followers, Following
from frontend.http.request_context import RequestContext
from frontend.http.sse import KEEPALIVE
from frontend.store.database import Database
from ipc.messages.admin import BoxEvent
from ipc.messages.errors import QueueFull
from tests.unit.frontend.api.admin.desk import Desk

DEADLINE_S = 60.0


def event(seq: int, **facts: Any) -> BoxEvent:
    return BoxEvent(seq=seq, time_s=1e9 + seq, type="model.state", model="org/chat", facts=facts)


def numbers(text: str) -> list[int]:
    return [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]


def kept(desk: Desk, query: str = "", **headers: str) -> Any:
    return desk.get(f"/admin/events?follow=false{query}", headers=headers)


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.control.events.add([event(5, state="starting"), event(6, state="ready")])
    return desk


def test_an_event_has_its_number_its_kind_and_all_that_is_known_of_it(desk: Desk) -> None:
    answer = kept(desk)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    first, second = answer.text.strip().split("\n\n")
    number, kind, data = first.splitlines()
    assert (number, kind) == ("id: 5", "event: model.state")
    assert json.loads(data.removeprefix("data: ")) == {
        "seq": 5,
        "time": 1000000005.0,
        "type": "model.state",
        "model": "org/chat",
        "state": "starting",
    }
    assert second.startswith("id: 6")


def test_who_was_cut_off_goes_on_behind_the_last_one_that_he_has(desk: Desk) -> None:
    assert numbers(kept(desk, **{"last-event-id": "5"}).text) == [6]
    assert numbers(kept(desk, "&after=5").text) == [6]
    assert numbers(kept(desk, "&after=6").text) == []


def test_a_number_from_before_a_restart_is_no_reason_to_tell_nothing(desk: Desk) -> None:
    assert numbers(kept(desk, **{"last-event-id": "4711"}).text) == [5, 6]


@pytest.mark.parametrize("headers", [{"last-event-id": "x"}, {"last-event-id": "-1"}], ids=str)
def test_a_number_that_is_none_is_refused(desk: Desk, headers: dict[str, str]) -> None:
    assert kept(desk, **headers).status_code == 400
    assert desk.get("/admin/events?follow=perhaps").status_code == 400


class Reader:
    """A client that follows, as ASGI has it."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.leave = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.leave.wait()
        return {"type": "http.disconnect"}

    def follow(self, response: Following, method: str = "GET") -> asyncio.Task[None]:
        scope: dict[str, Any] = {"type": "http", "method": method, "headers": []}
        RequestContext.begin(scope)
        self.context = RequestContext.of(scope)
        answering = response(scope, self.receive, cast(Any, self.sent.put))
        return asyncio.ensure_future(answering)

    async def next(self) -> Any:
        message = await asyncio.wait_for(self.sent.get(), DEADLINE_S)
        return message.get("body", message["type"])


def response(feed: EventFeed, followers: Followers, keepalive_s: float = 60.0) -> Following:
    history = EventHistory(feed, Database(None, (), 0))
    return Following(
        Events(history, followers, 0.0).parts(0, EventsQuery()), followers, keepalive_s
    )


def test_who_follows_is_told_each_as_it_comes_until_he_leaves() -> None:
    async def main() -> None:
        feed, followers, reader = EventFeed(), Followers(), Reader()
        feed.add([event(1)])
        task = reader.follow(response(feed, followers))
        assert await reader.next() == "http.response.start"
        assert b"id: 1\n" in await reader.next()
        feed.add([event(2)])
        assert b"id: 2\n" in await reader.next()
        reader.leave.set()
        await asyncio.wait_for(task, DEADLINE_S)
        assert reader.context.status == 499
        with followers.one_more():  # his place is free
            pass

    asyncio.run(main())


def test_who_follows_lines_is_written_to_in_a_silence_so_that_one_who_has_gone_is_missed() -> None:
    async def silent() -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b"never"

    async def main() -> None:
        followers, reader = Followers(), Reader()
        task = reader.follow(Following(silent(), followers, 0.01, following.LINES))
        assert await reader.next() == "http.response.start"
        assert [await reader.next(), await reader.next()] == [b"\n", b"\n"]
        reader.leave.set()
        await asyncio.wait_for(task, DEADLINE_S)

    asyncio.run(main())


def test_who_asks_for_the_head_alone_has_an_answer_with_an_end_and_follows_nothing() -> None:
    async def main() -> None:
        followers, reader = Followers(most=0), Reader()
        task = reader.follow(response(EventFeed(), followers), "HEAD")
        await asyncio.wait_for(task, DEADLINE_S)
        assert await reader.next() == "http.response.start"
        assert await reader.next() == b""

    asyncio.run(main())


def test_a_silence_is_filled_with_comments_and_loses_nothing() -> None:
    async def main() -> None:
        feed, reader = EventFeed(), Reader()
        task = reader.follow(response(feed, Followers(), keepalive_s=0.01))
        assert await reader.next() == "http.response.start"
        assert await reader.next() == KEEPALIVE
        assert await reader.next() == KEEPALIVE
        feed.add([event(1)])
        while (part := await reader.next()) == KEEPALIVE:
            pass
        assert b"id: 1\n" in part
        reader.leave.set()
        await asyncio.wait_for(task, DEADLINE_S)

    asyncio.run(main())


def test_the_end_of_the_server_ends_all_who_follow_with_a_whole_answer() -> None:
    async def main() -> None:
        followers, reader = Followers(), Reader()
        task = reader.follow(response(EventFeed(), followers))
        assert await reader.next() == "http.response.start"
        followers.end()
        await asyncio.wait_for(task, DEADLINE_S)
        assert await reader.sent.get() == {
            "type": "http.response.body",
            "body": b"",
            "more_body": False,
        }

    asyncio.run(main())


def test_no_more_may_follow_than_there_are_places() -> None:
    async def main() -> None:
        followers = Followers(most=1)
        first = Reader()
        task = first.follow(response(EventFeed(), followers))
        assert await first.next() == "http.response.start"
        with pytest.raises(QueueFull):
            await Reader().follow(response(EventFeed(), followers))
        first.leave.set()
        await asyncio.wait_for(task, DEADLINE_S)
        assert following.MOST == 32

    asyncio.run(main())
