"""The queues, the workers and the frontend's memory, as they stand at a scrape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import Gauge

from frontend.dispatch.budget import Budget
from frontend.metrics.series import Series

_QUEUE = (
    ("depth", "requests_waiting", "Requests in the queue"),
    ("in_flight", "requests_running", "Requests that a worker holds"),
    ("bytes", "queue_bytes", "Bytes of the requests in the queue"),
    ("oldest_s", "queue_oldest_seconds", "Age of the oldest request in the queue"),
    ("limit", "queue_limit", "How many requests may wait"),
    ("eta_s", "queue_eta_seconds", "When a request would be begun that came now"),
)


class FleetMetrics:
    def __init__(self, series: Series, budget: Budget) -> None:
        self._of = series.of
        self.queue = {
            key: series.gauge(f"edge_serve_{name}", text, "model") for key, name, text in _QUEUE
        }
        self._budget = budget
        self._held = series.gauge(
            "edge_serve_held_bytes", "Memory that requests hold in the frontend"
        )
        series.gauge("edge_serve_held_bytes_limit", "How much they may hold").set(
            budget.limit_bytes
        )
        self._supervisor_up = series.gauge(
            "edge_serve_supervisor_up", "Whether the supervisor answered"
        )
        self._worker_up = _worker(series, "up", "Whether the worker is ready")
        self._worker_rss = _worker(series, "resident_memory_bytes", "Resident memory")
        self._worker_cpu = _worker(series, "cpu_percent", "Share of one processor, in percent")
        self._worker_restarts = _worker(series, "restarts", "Restarts since the server started")
        self._replicas_wanted = series.gauge(
            "edge_serve_replicas_wanted",
            "Workers that a model should have now whose number varies",
            "model",
        )

    def set(
        self, queues: Mapping[str, Mapping[str, float]], report: Mapping[str, Any] | None
    ) -> None:
        """The queues are like this; the supervisor's ``report``, None where it has not answered."""
        for model, facts in queues.items():
            for key, gauge in self.queue.items():
                self._of(gauge, model).set(facts[key])
        self._held.set(self._budget.held_bytes)
        self._supervisor_up.set(report is not None)
        self._set_workers(report["models"] if report else [])

    def _set_workers(self, models: Iterable[dict[str, Any]]) -> None:
        gauges = [self._worker_up, self._worker_rss, self._worker_cpu, self._worker_restarts]
        # A worker that is gone, or of which nothing is known, has no values: not its last ones.
        for gauge in [*gauges, self._replicas_wanted]:
            gauge.clear()
        for model in models:
            if scaling := model.get("scaling"):
                self._replicas_wanted.labels(model["name"]).set(scaling["wanted"])
            for replica in model["replicas"]:
                labels = (model["name"], replica["replica"])
                self._worker_up.labels(*labels).set(replica["state"] == "ready")
                self._worker_rss.labels(*labels).set(replica.get("rss_mb", 0) * 2**20)
                self._worker_cpu.labels(*labels).set(replica.get("cpu_percent", 0))
                self._worker_restarts.labels(*labels).set(replica["restarts"])


def _worker(series: Series, name: str, text: str) -> Gauge:
    return series.gauge(f"edge_serve_worker_{name}", text, "model", "replica")
