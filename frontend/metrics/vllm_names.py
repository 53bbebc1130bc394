"""The series of chat models once more, under the names that boards and gateways for vLLM read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

# vLLM numbers its engines; here a model has one name, whatever its replicas are.
ENGINE = "0"
# Ours are called otherwise.
_LABELS = {"model": "model_name", "finish": "finished_reason"}


class UnderVllmNames(Collector):
    """Tells ``metrics``, each under the name that it stands for here. They are counted once."""

    def __init__(self, metrics: Mapping[str, MetricWrapperBase]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        for name, metric in self._metrics.items():
            for own in metric.collect():
                told = Metric(name, own.documentation, own.type)
                told.samples = [_renamed(sample, own.name, name) for sample in own.samples]
                yield told

    def describe(self) -> Iterator[Metric]:
        """Without asking for values: the registry only looks for names that are taken."""
        return iter([Metric(name, "", "untyped") for name in self._metrics])


def _renamed(sample: Sample, own: str, name: str) -> Sample:
    labels = {_LABELS.get(label, label): value for label, value in sample.labels.items()}
    return sample._replace(
        name=name + sample.name.removeprefix(own), labels={**labels, "engine": ENGINE}
    )
