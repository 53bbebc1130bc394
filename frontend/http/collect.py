"""Waiting for a whole answer, for exactly as long as the client does."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Receive

from frontend.dispatch.stream import FREE_CHARS, Stream, held_chars
from frontend.http.disconnect import Watch
from ipc.messages.events import Done, Piece

Keep = Callable[[Piece], None]


async def collect(stream: Stream, receive: Receive, keep: Keep | None = None) -> Done:
    """Give each piece of the answer to ``keep``; returns the end. Without ``keep`` the result has
    all of the answer, and its pieces are not needed. Raises the job's `ServeError`, or `Cancelled`.

    What is kept is added to what the request claims. The job is closed when this returns or
    raises, so it never outlives its request.
    """
    unclaimed = 0
    try:
        async with Watch(receive):
            while True:
                for event in await stream.next():
                    if isinstance(event, Done):
                        return event
                    if keep is None:
                        continue
                    keep(event)
                    unclaimed += held_chars(event)
                    if unclaimed > FREE_CHARS:
                        stream.claim.add(unclaimed)
                        unclaimed = 0
    finally:
        stream.close()
