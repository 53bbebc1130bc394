"""What is kept of a request that has ended: one line of the log, and its place in the metrics."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Collection
from urllib.parse import quote

from frontend.http.request_context import RequestContext
from frontend.metrics import Metrics
from ipc.runtime.log import Channel

access = Channel("edge_serve.access")

_MAX_PATH_CHARS = 200


class AccessLogEntry:
    """Called once for each request, whoever answered it. Monitors ask for ``polled`` paths every
    few seconds: their answers matter, their log lines do not. Nor do those of a batch's lines."""

    def __init__(self, metrics: Metrics, polled: Collection[str]) -> None:
        self._metrics = metrics
        self._polled = polled

    def __call__(self, method: str, path: str, context: RequestContext) -> None:
        seconds = time.monotonic() - context.started_at
        if context.background:
            self._metrics.observe_line(context)
        else:
            self._metrics.observe(context, seconds)
        usage = context.usage
        access.tell(
            logging.DEBUG if context.background or path in self._polled else logging.INFO,
            "request",
            {
                "method": method,
                "path": _shown(path),
                "status": context.status,
                "ms": round(seconds * 1000, 1),
                "request_id": context.request_id,
                "key": context.key,
                "model": context.model,
                "prompt_tokens": usage.prompt_tokens if usage else None,
                "completion_tokens": usage.completion_tokens if usage else None,
                "error": context.error,
            },
        )


@functools.lru_cache(128)
def _shown(path: str) -> str:
    return quote(path[:_MAX_PATH_CHARS], safe="/:@!$&'()*+,;=~")
