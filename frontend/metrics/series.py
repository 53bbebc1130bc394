"""The registry, and the series of each model for as long as it is served."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics import MetricWrapperBase

from ipc.messages.jobs import Task
from ipc.tasks import TASKS

# One more series for each counter and histogram, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Seconds: from a lane's hand-over in under a millisecond to a long transcription.
_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1, 2.5, 5, 10, 30, 60, 120, 300, 600),
)


class Series:
    """Owns the registry: nothing that a library registers globally gets in.

    The label ``model`` only ever holds the name of a model that is ``served``, so clients cannot
    make new series. Those of a model that has left go before new ones are made.
    """

    def __init__(self, served: Callable[[], Iterable[str]]) -> None:
        self._served = served
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        # Finding a series by its labels takes longer than adding to it, and there are few of them.
        self._found: dict[tuple[MetricWrapperBase, tuple[object, ...]], Any] = {}

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Its series have ``labels`` beside the model's."""
        return Counter(name, text, ("model", *labels), registry=self.registry)

    def histogram(self, name: str, text: str, buckets: Sequence[float] = _SECONDS) -> Histogram:
        return Histogram(name, text, ("model",), registry=self.registry, buckets=buckets)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def histograms_by_task(self, name: str, text: str) -> dict[Task, Histogram]:
        """One for each task, of seconds."""
        return {
            task: self.histogram(f"{each.metric_prefix}_{name}", text)
            for task, each in TASKS.items()
        }

    def cache_counters(self, name: str, text: str) -> dict[Task, Counter]:
        """One for each task that has a cache."""
        return {
            task: self.counter(f"{each.metric_prefix}_cache_{name}", text)
            for task, each in TASKS.items()
            if each.has_cache
        }

    def of(self, metric: MetricWrapperBase, model: str, *labels: object) -> Any:
        """The series of ``metric`` for a model."""
        key = (metric, (model, *labels))
        found = self._found.get(key)
        if found is None:
            self.forget_departed()
            found = self._found[key] = metric.labels(model, *labels)
        return found

    def forget_departed(self) -> None:
        """Drop the series of models that are no longer served. A request that is counted after its
        model has left makes one again, until the next time."""
        kept = {"", *self._served()}
        for metric, labels in [key for key in self._found if key[1][0] not in kept]:
            metric.remove(*labels)
            del self._found[metric, labels]
