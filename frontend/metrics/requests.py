"""How requests have ended, how long they took, and how long they waited."""

from __future__ import annotations

from frontend.dispatch.estimates.standing import Standing
from frontend.dispatch.stream import Stream
from frontend.http.answer_stream import OnGap
from frontend.http.request_context import RequestContext
from frontend.metrics.series import Series
from ipc.messages.jobs import Task

# Up to four times as long as was told.
_RATIOS = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 2, 4)
# A wait is told rightly within a quarter of it, or 300 ms.
_LEAST_TOLD_S = 1.2


class RequestMetrics:
    def __init__(self, series: Series) -> None:
        self._of = series.of
        self.latency = series.histograms_by_task(
            "request_latency_seconds", "From request to the answer's end"
        )
        self.queue_wait = series.histograms_by_task(
            "request_queue_wait_seconds", "From admission to a worker"
        )
        self.first = series.histogram(
            "edge_serve_time_to_first_token_seconds", "From admission to the first event"
        )
        self.gap = series.histogram(
            "edge_serve_inter_token_latency_seconds", "Between two batches of tokens"
        )
        self._eta_error = series.histogram(
            "edge_serve_eta_error_ratio",
            "By what the wait of a request that had to wait differed from what it was told, over "
            "that, or over 1.2 s where that is less: 0.25 stands for 25 %, or 300 ms",
            _RATIOS,
        )
        self._migrations = series.counter(
            "edge_serve_migrations",
            "Answers that another worker had to go on with, and how they have ended",
            "outcome",
        )
        self._live_turns = series.counter(
            "edge_serve_live_turns",
            "Turns of live speech by how they ended: ok, revised (a last look at one had other "
            "words than were told), or the code of an error",
            "outcome",
        )
        self._ended = series.counter(
            "edge_serve_requests", "Requests by outcome", *("task", "status")
        )
        self._lines = series.counter(
            "edge_serve_batch_lines",
            "Lines of batches by what was answered; the same line comes again after gave_way",
            "outcome",
        )

    def count(self, context: RequestContext, model: str) -> None:
        """A request has ended."""
        self._of(self._ended, model, context.task or "", context.status).inc()

    def count_live_turn(self, model: str, outcome: str) -> None:
        self._of(self._live_turns, model, outcome).inc()

    def count_line(self, context: RequestContext, model: str) -> None:
        self._of(self._lines, model, context.error or "ok").inc()

    def observe_waits(
        self, task: Task, model: str, stream: Stream, context: RequestContext
    ) -> None:
        """How long it waited for a worker, for its first event, and for another worker."""
        if stream.dispatched_at is not None:
            wait_s = stream.dispatched_at - stream.submitted_at
            self._of(self.queue_wait[task], model).observe(wait_s)
            if (ratio := _eta_error(stream.told, wait_s)) is not None:
                self._of(self._eta_error, model).observe(ratio)
        if stream.migrations:
            outcome = "ok" if stream.done is not None else context.error or "ok"
            self._of(self._migrations, model, outcome).inc(stream.migrations)
        if stream.first_at is not None:
            self._of(self.first, model).observe(stream.first_at - stream.submitted_at)

    def on_gap(self, model: str) -> OnGap:
        observe: OnGap = self._of(self.gap, model).observe
        return observe


def _eta_error(told: Standing | None, wait_s: float) -> float | None:
    """How wrong it was what a request was told of its wait, for one that had to wait."""
    if told is None or not told.position or told.start_s is None:
        return None
    return abs(wait_s - told.start_s) / max(told.start_s, _LEAST_TOLD_S)
