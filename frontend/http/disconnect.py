"""A client that leaves ends the work done for it, whether it streams or waits.

Starlette cancels only a `StreamingResponse`, and only below version 2.4 of the ASGI specification;
a plain handler would compute an answer for nobody. So every route that waits does it in a `Watch`.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from starlette.types import Receive

from ipc.messages.errors import Cancelled


class Watch:
    """``async with Watch(receive):`` cancels its body when the client leaves.

    Raises `Cancelled` then. Enter it once the request's body has been read: from there on the
    only message to come is the disconnect. Works like `asyncio.timeout`, with the client's
    patience for a clock.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._listener = asyncio.create_task(self._listen())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.cancel()
        if not self._gone:
            return
        # Somebody else may have cancelled the task too, say at shutdown: that one goes on.
        outside = self._task.uncancel() > self._cancelling
        if kind is asyncio.CancelledError and not outside:
            raise Cancelled("the client has closed the connection") from None

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()
