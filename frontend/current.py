"""An application that may be another one from the next request on."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from ipc.messages.control import Serve


class Current:
    """The application that ``build`` makes of the limits in force. A request that has begun ends in
    the application in which it began."""

    def __init__(self, build: Callable[[Serve], ASGIApp], serve: Serve) -> None:
        self._build = build
        self._app = build(serve)

    def set(self, serve: Serve) -> None:
        """Requests that come from now on have these limits."""
        self._app = self._build(serve)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
