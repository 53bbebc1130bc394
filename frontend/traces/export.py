"""Traces on their way to a collector, by OTLP over HTTP, in threads of their own.

Which collector, how often, how many of them: the variables of OpenTelemetry's SDK say it. Nothing
of it is imported unless one is named.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from typing import Any

from frontend.history.request_record import RequestRecord
from frontend.traces.parent import parent_of
from frontend.traces.spans import Span, spans_of
from ipc import tracing

logger = logging.getLogger(__name__)

# Requests that wait for their spans to be made; of more the newest are lost.
MOST = 2048
END_S = 2.0
SCOPE = "edge-serve"


class Traces:
    """Owns the thread that makes spans from `begin` to `end`; the SDK has another that sends them.
    A collector that is away costs spans, never a request."""

    def __init__(self) -> None:
        self._is_on = tracing.is_wanted() and tracing.is_installed()
        self._records: queue.Queue[RequestRecord | None] = queue.Queue(MOST)
        self._thread = threading.Thread(target=self._work, name="traces", daemon=True)

    def begin(self) -> None:
        if self._is_on:
            self._thread.start()

    def add(self, record: RequestRecord) -> None:
        """Have the spans of a request made that has ended."""
        if self._is_on and not self._records.full():
            self._records.put_nowait(record)

    def end(self) -> None:
        """Send what is left, unless that takes too long."""
        if not self._thread.is_alive():
            return
        if not self._records.full():
            self._records.put_nowait(None)
        self._thread.join(END_S)

    def _work(self) -> None:
        provider = _provider()
        tracer = provider.get_tracer(SCOPE)
        while (record := self._records.get()) is not None:
            try:
                make(tracer, record)
            except Exception:
                logger.exception("spans_failed", extra={"request_id": record.id})
        provider.shutdown()


def make(tracer: Any, record: RequestRecord) -> None:
    """The spans of ``record``, as a tracer of OpenTelemetry's SDK makes them."""
    from opentelemetry import trace

    planned, made = spans_of(record), list[Any]()
    for each in planned:
        context = _remote(record) if each.parent is None else _within(made[each.parent])
        span = tracer.start_span(
            each.name,
            context=context,
            kind=trace.SpanKind.SERVER if each.parent is None else trace.SpanKind.INTERNAL,
            attributes={**each.attributes, **_failure(each)},
            links=[] if each.after is None else [trace.Link(made[each.after].get_span_context())],
            start_time=_ns(each.began_s),
        )
        if each.failed is not None:
            span.set_status(trace.Status(trace.StatusCode.ERROR, each.failed))
        made.append(span)
    for span, each in zip(made, planned, strict=True):
        span.end(end_time=_ns(each.ended_s))


def _failure(span: Span) -> dict[str, str]:
    return {} if span.failed is None else {"error.type": span.failed}


def _remote(record: RequestRecord) -> Any:
    """An empty context, or that of the caller's span."""
    from opentelemetry import trace
    from opentelemetry.context import Context

    parent = parent_of(record.traceparent)
    if parent is None:
        return Context()
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if parent.is_sampled else 0)
    remote = trace.SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
    return _within(trace.NonRecordingSpan(remote))


def _within(span: Any) -> Any:
    from opentelemetry import trace
    from opentelemetry.context import Context

    return trace.set_span_in_context(span, Context())


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _provider() -> Any:
    """The SDK as its variables have it. It would log each try that fails; we say it once."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    resource = Resource.create({} if named else {"service.name": SCOPE})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter: Any = _Sending(OTLPSpanExporter())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class _Sending:
    """An exporter that says once that a collector does not take what it gets, and once that it does
    again."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._fails = False

    def export(self, spans: Any) -> Any:
        result = self._exporter.export(spans)
        fails = result.name != "SUCCESS"
        if fails and not self._fails:
            logger.warning("traces_not_taken", extra={"spans": len(spans)})
        elif self._fails and not fails:
            logger.info("traces_taken_again")
        self._fails = fails
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        flushed: bool = self._exporter.force_flush(timeout_millis)
        return flushed
