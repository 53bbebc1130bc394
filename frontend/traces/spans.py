"""The spans of one request, made of what is known of it once it has ended.

POST /v1/chat/completions
  queue
    load               while its model had no worker
  chat org/model       once for each worker that it was handed to
    prefill
    decode
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from frontend.history.request_record import RequestRecord
from frontend.traces.attributes import of_request, of_work, operation

# What is shorter than this is no load: the worker was there.
LEAST_LOAD_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """``parent`` and ``after`` are places in the list: the span that it is within, and the attempt
    that it repeats. Times are in seconds since 1970. ``failed`` is with what it did."""

    name: str
    began_s: float
    ended_s: float
    parent: int | None = None
    after: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    failed: str | None = None


def spans_of(record: RequestRecord) -> list[Span]:
    """Those of a request that has ended, each behind the one that it is within."""
    return _Tree(record).spans


def _last_began_s(record: RequestRecord) -> float | None:
    """When its last worker had it."""
    return record.dispatched_s if record.resumed_s is None else record.resumed_s


class _Tree:
    """The spans as they are put together; times in are seconds of the record."""

    def __init__(self, record: RequestRecord) -> None:
        self._record = record
        self.spans: list[Span] = []
        failed = record.error if (record.status or 0) >= 500 else None
        name = f"{record.method} {record.path}"
        total_s = record.total_s or 0.0
        self._add(name, 0.0, total_s, None, attributes=of_request(record), failed=failed)
        if record.submitted_s is not None:
            self._job(record.submitted_s, total_s)

    def _job(self, submitted_s: float, total_s: float) -> None:
        """Its waits and its attempts, in turns."""
        record = self._record
        waits_from, before = submitted_s, None
        for one in record.earlier:
            self._wait(waits_from, one.began_s)
            before = self._attempt(one.began_s, one.ended_s, before, failed=one.ended)
            waits_from = one.ended_s
        began_s = _last_began_s(record)
        if began_s is None or began_s < waits_from:
            self._wait(waits_from, total_s)
            return
        self._wait(waits_from, began_s)
        ended_s = total_s if record.worked_s is None else record.worked_s
        self._phases(self._attempt(began_s, ended_s, before, failed=record.error))

    def _wait(self, began_s: float, ended_s: float) -> None:
        queue = self._add("queue", began_s, ended_s, 0)
        load_s = self._record.load_s or 0.0
        if load_s >= LEAST_LOAD_S and began_s == self._record.submitted_s:
            self._add("load", began_s, min(began_s + load_s, ended_s), queue)

    def _attempt(
        self, began_s: float, ended_s: float, before: int | None, failed: str | None
    ) -> int:
        name = f"{operation(self._record)} {self._record.model}"
        is_last = began_s == _last_began_s(self._record)
        attributes = of_work(self._record) if is_last else {}
        return self._add(
            name, began_s, ended_s, 0, after=before, attributes=attributes, failed=failed
        )

    def _phases(self, attempt: int) -> None:
        """Only a chat reads first and writes then."""
        record = self._record
        if record.task != "chat" or record.began_s is None or record.read_s is None:
            return
        self._add("prefill", record.began_s, record.read_s, attempt)
        if record.worked_s is not None:
            self._add("decode", record.read_s, record.worked_s, attempt)

    def _add(
        self, name: str, began_s: float, ended_s: float, parent: int | None, **more: Any
    ) -> int:
        at = self._record.time_s
        self.spans.append(
            Span(name=name, began_s=at + began_s, ended_s=at + ended_s, parent=parent, **more)
        )
        return len(self.spans) - 1
