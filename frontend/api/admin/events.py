"""GET /admin/events: what happens to this server, as it happens"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.asked import EventsQuery
from frontend.api.validate import check
from frontend.dispatch.event_feed import EventFeed
from frontend.http.following import Followers, Following
from ipc.messages.admin import BoxEvent


class Events:
    """First those that are kept, then each as it comes. A client that was cut off names the last
    one that it has, by the header that browsers send, and misses none that is kept."""

    def __init__(self, feed: EventFeed, followers: Followers, keepalive_s: float) -> None:
        self._feed = feed
        self._followers = followers
        self._keepalive_s = keepalive_s

    async def follow(self, request: Request) -> Response:
        words = dict(request.query_params)
        if (last := request.headers.get("last-event-id")) is not None:
            words["after"] = last
        asked = check(EventsQuery, words)
        # Numbers begin anew with the server; who has a later one has seen another run of it.
        seq = asked.after if asked.after <= self._feed.newest else 0
        parts = self._all(seq) if asked.follows else self._kept(seq)
        return Following(parts, self._followers, self._keepalive_s)

    async def _all(self, seq: int) -> AsyncGenerator[bytes, None]:
        async for event in self._feed.follow(seq):
            yield rendered(event)

    async def _kept(self, seq: int) -> AsyncGenerator[bytes, None]:
        for event in self._feed.after(seq):
            yield rendered(event)


def rendered(event: BoxEvent) -> bytes:
    """``event`` as one of server-sent events."""
    head = f"id: {event.seq}\nevent: {event.type}\ndata: ".encode()
    return head + orjson.dumps(told(event)) + b"\n\n"


def told(event: BoxEvent) -> dict[str, Any]:
    known = {"seq": event.seq, "time": round(event.time_s, 3), "type": event.type}
    return {**known, "model": event.model, **event.facts, **known}
