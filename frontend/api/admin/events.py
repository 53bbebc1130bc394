"""GET /admin/events: what happens to this server, as it happens"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.asked import EventsQuery
from frontend.api.validate import check_query
from frontend.history.events import EventHistory
from frontend.http.following import Followers, Following
from ipc.messages.admin import BoxEvent


class Events:
    """First those that are kept, then each as it comes. A client that was cut off names the last
    one that it has, by the header that browsers send, and misses none that is kept, be it in the
    file. Those of before this run of the server come if they are asked for, by their time."""

    def __init__(self, events: EventHistory, followers: Followers, keepalive_s: float) -> None:
        self._events = events
        self._feed = events.feed
        self._followers = followers
        self._keepalive_s = keepalive_s

    async def follow(self, request: Request) -> Response:
        last = request.headers.get("last-event-id")
        asked = check_query(EventsQuery, request, **({} if last is None else {"after": last}))
        # Numbers begin anew with the server; who has a later one has seen another run of it.
        seq = asked.after if asked.after <= self._feed.newest else 0
        return Following(self.parts(seq, asked), self._followers, self._keepalive_s)

    async def parts(self, seq: int, asked: EventsQuery) -> AsyncGenerator[bytes, None]:
        if asked.since is not None:
            for event in await self._events.since(asked.since):
                yield rendered(event, is_numbered=False)
        elif seq > 0:
            for event in await self._events.between(seq):
                yield rendered(event)
        if asked.follows:
            async for event in self._feed.follow(seq):
                yield rendered(event)
        else:
            for event in self._feed.after(seq):
                yield rendered(event)


def rendered(event: BoxEvent, *, is_numbered: bool = True) -> bytes:
    """``event`` as one of server-sent events. One that is not numbered is no place to go on from,
    as those of an earlier run."""
    number = f"id: {event.seq}\n" if is_numbered else ""
    head = f"{number}event: {event.type}\ndata: ".encode()
    return head + orjson.dumps(told(event)) + b"\n\n"


def told(event: BoxEvent) -> dict[str, Any]:
    known = {"seq": event.seq, "time": round(event.time_s, 3), "type": event.type}
    return {**known, "model": event.model, **event.facts, **known}
