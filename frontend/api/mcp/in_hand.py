"""The calls that are worked on, for the client who calls one off by another request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from starlette.types import Receive

from frontend.api.mcp.messages import Id


class Mark(NamedTuple):
    """One call of one client, who has made up the name of its ``session`` and the ``call_id``."""

    client: str
    session: str
    call_id: Id


class Patience:
    """How long whoever has made a call waits: until it is called off, or its connection ends."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._called_off = asyncio.Event()

    @property
    def is_called_off(self) -> bool:
        return self._called_off.is_set()

    def call_off(self) -> None:
        self._called_off.set()

    async def ends(self) -> None:
        """Returns when it does."""
        waits = [
            asyncio.ensure_future(self._disconnected()),
            asyncio.ensure_future(self._called_off.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


class InHand:
    """They are as many as there are requests, so others bound them."""

    def __init__(self) -> None:
        self._calls: dict[Mark, Patience] = {}

    @contextmanager
    def one(self, mark: Mark | None, patience: Patience) -> Iterator[None]:
        """Known for so long; one without a ``mark`` cannot be found."""
        if mark is not None:
            self._calls[mark] = patience
        try:
            yield
        finally:
            if mark is not None and self._calls.get(mark) is patience:
                del self._calls[mark]

    def call_off(self, mark: Mark) -> None:
        """End it, if it is still worked on."""
        if (patience := self._calls.get(mark)) is not None:
            patience.call_off()
