"""The outermost layer: a request id on every answer, one log line for every request."""

from __future__ import annotations

import logging
import time
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontend.errors import error_response
from frontend.exchange import Exchange
from frontend.metrics import Metrics
from ipc.errors import InternalError

logger = logging.getLogger(__name__)
access = logging.getLogger("edge_serve.access")

_MAX_PATH_CHARS = 200
# Monitors ask for these every few seconds; their answers matter, their log lines do not.
_PROBES = frozenset({"/livez", "/readyz", "/health", "/metrics"})


class Access:
    """Records each `Exchange`, and answers 500 where nobody else had an answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange.begin(scope)
        request_id = (b"x-request-id", exchange.request_id.encode("ascii"))
        started = False

        async def send_marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
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
            if not started:
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
