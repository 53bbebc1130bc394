"""Whose job may have crashed its worker: the rules of `Quarantine`, for one model's jobs."""

from __future__ import annotations

from collections.abc import Iterable

from frontend.dispatch.crashes.quarantine import Fingerprint, Quarantine, fingerprint
from frontend.dispatch.open_jobs import OpenJobs
from ipc.messages.errors import PoisonRequest
from ipc.messages.jobs import Job


class Suspects:
    """Knows jobs by their fingerprints, which nobody computes while nothing has crashed. False
    where nobody is suspected."""

    def __init__(self, jobs: OpenJobs) -> None:
        self._jobs = jobs
        self._quarantine = Quarantine()

    def __bool__(self) -> bool:
        return bool(self._quarantine)

    def note(self, lost: Iterable[Job], now: float) -> int:
        """A worker has crashed by its own doing with these ``lost``. Returns of how many requests
        that proves that they were the cause."""
        # Several copies of a request in one crash are still one crash.
        found = {self._fingerprint(job) for job in lost}
        alone = len(found) == 1
        return sum(self._quarantine.suspect(one, now, alone=alone) for one in found)

    def has(self, job: Job) -> bool:
        """Whether it should run alone."""
        return bool(self) and self._quarantine.suspects(self._fingerprint(job))

    def held(self, job: Job, now: float) -> PoisonRequest | None:
        """What to answer to one that is refused; None where it is not."""
        return self._quarantine.held(self._fingerprint(job), now) if self else None

    def clear(self, job_id: str) -> None:
        """It has completed, so it was not the cause."""
        opened = self._jobs.get(job_id)
        if self and opened is not None:
            self._quarantine.clear(opened.fingerprint)

    def forget(self, now: float) -> None:
        """Release those whose time is over."""
        self._quarantine.forget(now)

    def _fingerprint(self, job: Job) -> Fingerprint:
        opened = self._jobs.get(job.id)
        return opened.fingerprint if opened is not None else fingerprint(job)
