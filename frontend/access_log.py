"""What is kept of a request that has ended: a line of the log, its place in the metrics and in
what its key has used."""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from frontend.history.request_record import RequestRecord
from frontend.http.request_context import RequestContext
from frontend.metrics.prometheus import Metrics
from frontend.usage.ledger import Ledger
from ipc.runtime.log import Channel

access = Channel("edge_serve.access")

_MAX_PATH_CHARS = 200


class AccessLogEntry:
    """Called once for each request, whoever answered it. Monitors ask for ``polled`` paths every
    few seconds: their answers matter, their log lines do not. Nor do those of a batch's lines."""

    def __init__(self, metrics: Metrics, ledger: Ledger, polled: Collection[str]) -> None:
        self._metrics = metrics
        self._ledger = ledger
        self._polled = polled

    def __call__(self, context: RequestContext, record: RequestRecord) -> None:
        assert record.total_s is not None, "it has ended"
        if record.background:
            self._metrics.observe_line(context)
        else:
            self._metrics.observe(context, record.total_s)
        self._ledger.count(context, context.started_at + record.total_s)
        quiet = record.background or record.path in self._polled
        access.tell(logging.DEBUG if quiet else logging.INFO, "request", _line(record))


def _line(record: RequestRecord) -> dict[str, Any]:
    usage = record.usage
    return {
        "method": record.method,
        "path": _shown(record.path),
        "status": record.status,
        "ms": _ms(record.total_s),
        "request_id": record.id,
        "key": record.key,
        "model": record.model,
        "attempt": record.attempt or None,
        "queue_ms": _ms(record.queue_s),
        "load_ms": _ms(record.load_s),
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "cached_tokens": usage.cached_tokens if usage else None,
        "completion_tokens": usage.completion_tokens if usage else None,
        "error": record.error,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


@functools.lru_cache(128)
def _shown(path: str) -> str:
    return quote(path[:_MAX_PATH_CHARS], safe="/:@!$&'()*+,;=~")
