"""Jobs that a worker was told to drop and has not ended yet.

A worker drops a job between two steps and says so. One that does not keeps the job's place for
good, and a few of them take all of a model's places: so it is replaced. Time is counted in ticks of
this process, so that a pause of ours is not taken for the worker's.
"""

from __future__ import annotations

from dataclasses import dataclass

TICK_S = 0.1
# A step that takes longer than `Spec.stall_s` is a hang; a job is dropped between two.
DROP_STEPS = 2


@dataclass(slots=True)
class _Dropped:
    route: str
    patience_s: float
    ticks: int = 0


class DroppedJobs:
    """For how long each of them has been waited for."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Dropped] = {}

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def add(self, job_id: str, route: str, stall_s: float) -> None:
        """The worker at ``route`` has been told to drop it."""
        self._jobs[job_id] = _Dropped(route, DROP_STEPS * stall_s)

    def remove(self, job_id: str) -> None:
        """It has ended. Others than those that were dropped are ignored."""
        self._jobs.pop(job_id, None)

    def tick(self) -> list[tuple[str, float]]:
        """`TICK_S` has passed. The routes whose patience is over, and after how long; each once."""
        over = []
        for job_id, dropped in list(self._jobs.items()):
            dropped.ticks += 1
            if dropped.ticks * TICK_S >= dropped.patience_s:
                del self._jobs[job_id]
                over.append((dropped.route, dropped.patience_s))
        return over
