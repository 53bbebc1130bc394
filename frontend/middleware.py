"""The outermost layer and the innermost: what every answer gets, and what failures turn into."""

from __future__ import annotations

import logging
import time
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontend.errors import error_response, refusal
from frontend.exchange import Exchange
from frontend.metrics import Metrics
from ipc.errors import InternalError, ServeError

logger = logging.getLogger(__name__)
access = logging.getLogger("edge_serve.access")

_MAX_PATH_CHARS = 200
# Monitors ask for these every few seconds; their answers matter, their log lines do not.
_PROBES = frozenset({"/livez", "/readyz", "/health", "/metrics"})


class Access:
    """A request id on every answer, and one log line for every request.

    Records each `Exchange`, and answers 500 where nobody else had an answer.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange.begin(scope)
        request_id = (b"x-request-id", exchange.request_id.encode("ascii"))

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [*message.get("headers", ()), request_id]
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception:
            logger.exception("request_failed", extra={"request_id": exchange.request_id})
            error = InternalError(
                "internal error; the server's log has it under this answer's x-request-id"
            )
            exchange.error = error.code
            # After the headers there is nothing to say: the server sees the answer unfinished and
            # cuts the connection, which is how the client learns of it.
            if not exchange.status:
                await error_response(error)(scope, receive, send_marked)
            exchange.status = error.status
        finally:
            self._record(scope, exchange)

    def _record(self, scope: Scope, exchange: Exchange) -> None:
        seconds = time.monotonic() - exchange.started_at
        self._metrics.observe(exchange, seconds)
        usage = exchange.usage
        access.log(
            logging.DEBUG if scope["path"] in _PROBES else logging.INFO,
            "request",
            extra={
                "method": scope["method"],
                "path": quote(scope["path"][:_MAX_PATH_CHARS], safe="/:@!$&'()*+,;=~"),
                "status": exchange.status,
                "ms": round(seconds * 1000, 1),
                "request_id": exchange.request_id,
                "key": exchange.key,
                "model": exchange.model,
                "prompt_tokens": usage.prompt_tokens if usage else None,
                "completion_tokens": usage.completion_tokens if usage else None,
                "error": exchange.error,
            },
        )


class Refusals:
    """Answers what the routes raise. Stands inside the layers that add to every answer, as CORS
    does: a browser shows a page no error that lacks its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except (ServeError, HTTPException) as error:
            exchange = Exchange.of(scope)
            if exchange.status:  # an answer has begun, and there is only one
                raise
            await refusal(error, scope["method"], exchange)(scope, receive, send)
