"""How the machine and each model stood at some time, and what they did since the time before.

Nothing here reads a clock or a disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import msgspec

Report = Mapping[str, Any]


class ModelSample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``resident_mb`` is that of all its workers, ``waiting`` and ``in_hand`` are requests at that
    time. Those that were ``done`` or ``failed`` and the tokens that were ``read`` and ``written``
    are of the time since the last sample, by the count of its workers."""

    resident_mb: float = 0.0
    waiting: float = 0.0
    in_hand: float = 0.0
    done: int = 0
    failed: int = 0
    read: int = 0
    written: int = 0


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Taken at ``time_s``, in seconds since 1970. A model that takes no memory and has done nothing
    is not among the ``models``."""

    time_s: float
    cpu_percent: float
    memory_used_mb: float
    memory_total_mb: float
    models: dict[str, ModelSample] = {}


_NOTHING = ModelSample()
# What a worker counts from its start on, and as what the difference is told.
_COUNTED = {
    "jobs": "done",
    "failed": "failed",
    "prompt_tokens": "read",
    "completion_tokens": "written",
}
_MEANS = ("resident_mb", "waiting", "in_hand")


class Meter:
    """Makes samples of reports; remembers of each worker what it had counted before."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, int], Report] | None = None

    def sample(self, report: Report, queues: Mapping[str, Report], time_s: float) -> Sample:
        """That of ``report``, the supervisor's, with the frontend's own ``queues``."""
        box = report.get("box", {})
        total_mb = box.get("memory_total_mb", 0)
        before = self._before
        self._before = {
            (one["replica"], one.get("generation", 0)): one
            for model in report["models"]
            for one in model["replicas"]
        }
        models = {
            model["name"]: _model(model, queues.get(model["name"], {}), before)
            for model in report["models"]
        }
        return Sample(
            time_s=time_s,
            cpu_percent=box.get("cpu_percent", 0.0),
            memory_used_mb=total_mb - box.get("memory_available_mb", total_mb),
            memory_total_mb=total_mb,
            models={name: one for name, one in models.items() if one != _NOTHING},
        )


def _model(
    model: Report, queue: Report, before: Mapping[tuple[str, int], Report] | None
) -> ModelSample:
    counts = dict.fromkeys(_COUNTED.values(), 0)
    for worker in model["replicas"]:
        if before is None:
            break  # what was counted before the first sample is nobody's
        known = before.get((worker["replica"], worker.get("generation", 0)), {})
        for key, name in _COUNTED.items():
            counts[name] += max(0, worker.get(key, 0) - known.get(key, 0))
    return ModelSample(
        resident_mb=sum(worker.get("rss_mb", 0.0) for worker in model["replicas"]),
        waiting=queue.get("depth", 0),
        in_hand=queue.get("in_flight", 0),
        **counts,
    )


def merged(samples: Sequence[Sample]) -> Sample:
    """One in place of several: means of what stands, sums of what was done. Its time is the last
    one's."""
    last = samples[-1]
    names = dict.fromkeys(name for sample in samples for name in sample.models)
    return Sample(
        time_s=last.time_s,
        cpu_percent=round(fmean(one.cpu_percent for one in samples), 1),
        memory_used_mb=round(fmean(one.memory_used_mb for one in samples)),
        memory_total_mb=last.memory_total_mb,
        models={
            name: _merged_model([one.models.get(name, _NOTHING) for one in samples])
            for name in names
        },
    )


def _merged_model(samples: Sequence[ModelSample]) -> ModelSample:
    known: dict[str, Any] = {
        name: round(fmean(getattr(one, name) for one in samples), 1) for name in _MEANS
    }
    for name in _COUNTED.values():
        known[name] = sum(getattr(one, name) for one in samples)
    return ModelSample(**known)


def at_most(samples: Sequence[Sample], most: int) -> list[Sample]:
    """``samples``, neighbours merged until there are no more than ``most``."""
    step = -(-len(samples) // most) if samples else 1
    return [merged(samples[at : at + step]) for at in range(0, len(samples), step)]


def by_minute(samples: Iterable[Sample]) -> tuple[list[Sample], list[Sample]]:
    """One for each minute that is over, and the samples of the last one, which may not be."""
    minutes: dict[int, list[Sample]] = {}
    for one in samples:
        minutes.setdefault(int(one.time_s // 60), []).append(one)
    *over, rest = minutes.values() or [[]]
    return [merged(each) for each in over], rest
