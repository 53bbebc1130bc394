"""Several listeners of one server, told apart by the port that a client came by.

The sockets are the supervisor's: `supervisor.listener`.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class ByPort:
    """The application of the request's port, or else ``app``. Connections, and their limits, are
    those of one server."""

    def __init__(self, app: ASGIApp, others: Mapping[int, ASGIApp]) -> None:
        self._app = app
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = scope.get("server")
        app = self._others.get(server[1], self._app) if server else self._app
        await app(scope, receive, send)
