"""Waiting for a whole answer, for exactly as long as the client does."""

from __future__ import annotations

from starlette.types import Receive

from frontend.dispatch.stream import FREE_CHARS, Stream
from frontend.http.disconnect import Watch
from ipc.messages.events import Done


async def collect(stream: Stream, receive: Receive) -> tuple[str, Done]:
    """The text of all deltas, and the end. Raises the job's `ServeError`, or `Cancelled`.

    The text is added to what the request claims. The job is closed when this returns or raises, so
    it never outlives its request.
    """
    texts: list[str] = []
    unclaimed = 0
    try:
        async with Watch(receive):
            while True:
                for event in await stream.next():
                    if isinstance(event, Done):
                        return "".join(texts), event
                    texts.append(event.text)
                    unclaimed += len(event.text)
                    if unclaimed > FREE_CHARS:
                        stream.claim.add(unclaimed)
                        unclaimed = 0
    finally:
        stream.close()
