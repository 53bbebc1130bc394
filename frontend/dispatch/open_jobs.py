"""The jobs of one model that have no terminal event yet, and what this process holds for each."""

from __future__ import annotations

from dataclasses import dataclass

from frontend.dispatch.budget import Claim
from frontend.dispatch.crashes.migration import Emitted
from frontend.dispatch.crashes.quarantine import Fingerprint, fingerprint
from frontend.dispatch.input.writer import InputWriter
from frontend.dispatch.stream import Stream
from ipc.messages.jobs import Job
from ipc.messages.spec import Spec


@dataclass(slots=True, eq=False)
class OpenJob:
    """A job as it was admitted: ``spec`` has the limits that it was admitted under.

    ``stream`` is None once its client has gone, or has been given another answer. No client waits
    for one in the ``background``. ``keep_s`` is what it asks for of its model, see `Terms`.
    ``emitted`` is what has come of an answer that another worker could go on with. ``input`` is
    where its input is streamed, and ``work_s`` for how long it may be worked on.
    """

    job: Job
    spec: Spec
    claim: Claim
    stream: Stream | None
    deadline_at: float
    background: bool = False
    keep_s: float | None = None
    emitted: Emitted | None = None
    input: InputWriter | None = None
    work_s: float = 0.0
    _fingerprint: Fingerprint | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """Computed when it is first needed, which is after a crash."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.job)
        return self._fingerprint


class OpenJobs:
    """Owns the claims: one is held from `add` to `remove`, which may outlive its request."""

    def __init__(self) -> None:
        self._jobs: dict[str, OpenJob] = {}
        self._keeps: dict[str, float] = {}  # of those that ask for it, how long the model stays
        self._kept_s: float | None = None  # what the last of them that ended had asked for
        self.readers = 0  # how many of them a client waits for

    def add(self, opened: OpenJob) -> None:
        opened.claim.hold()
        self._jobs[opened.job.id] = opened
        self.readers += not opened.background
        if opened.keep_s is not None:
            self._keeps[opened.job.id] = opened.keep_s

    @property
    def keep_s(self) -> float | None:
        """How long their model is to stay without work, -1 for ever: the most that any of them asks
        for, else what the last one did that has ended. None: nobody has asked."""
        if not self._keeps:
            return self._kept_s
        asked = self._keeps.values()
        return -1.0 if min(asked) < 0 else max(asked)

    def forget_kept(self) -> None:
        """The model is unloaded: what was asked for before counts no more."""
        self._kept_s = None

    def get(self, job_id: str) -> OpenJob | None:
        return self._jobs.get(job_id)

    def stream(self, job_id: str) -> Stream | None:
        """Where its events go, if anybody waits for them."""
        opened = self._jobs.get(job_id)
        return opened.stream if opened is not None else None

    def waited_for(self, job_id: str) -> OpenJob | None:
        """The job, if anybody waits for its events."""
        opened = self._jobs.get(job_id)
        return opened if opened is not None and opened.stream is not None else None

    @property
    def uploads(self) -> list[OpenJob]:
        """Those that are recordings which are still on their way."""
        jobs = self._jobs.values()
        return [one for one in jobs if one.input is not None and one.input.is_filling]

    def background(self) -> list[OpenJob]:
        """Those in the background that somebody waits for."""
        return [
            opened
            for opened in self._jobs.values()
            if opened.background and opened.stream is not None
        ]

    def detach(self, job_id: str) -> None:
        """Nobody waits for its events any more."""
        opened = self._jobs.get(job_id)
        if opened is not None and opened.stream is not None:
            opened.stream = None
            self.readers -= not opened.background

    def remove(self, job_id: str) -> Stream | None:
        """It has ended. Returns the stream that is to be told, if there is one."""
        opened = self._jobs.pop(job_id, None)
        if opened is None:
            return None
        opened.claim.release()
        self._kept_s = self._keeps.pop(job_id, self._kept_s)
        if opened.stream is not None:
            self.readers -= not opened.background
        return opened.stream

    def unused_id(self, request_id: str) -> str:
        """Clients choose request ids and may repeat them; jobs must not share one."""
        count, job_id = 1, request_id
        while job_id in self._jobs:
            count, job_id = count + 1, f"{request_id}#{count + 1}"
        return job_id

    def ids(self) -> list[str]:
        return list(self._jobs)

    def overdue(self, now: float) -> list[OpenJob]:
        """Those whose time is over and whose clients still wait."""
        return [
            opened
            for opened in self._jobs.values()
            if opened.deadline_at <= now and opened.stream is not None
        ]
