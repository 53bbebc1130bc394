"""Jobs whose worker has died, and that another worker takes over."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from frontend.dispatch.estimates.estimator import Estimator
from frontend.dispatch.lane import Lane
from frontend.dispatch.open_jobs import OpenJob, OpenJobs
from frontend.dispatch.waiting import Ticket

logger = logging.getLogger(__name__)


class Takeover:
    """Has one model's jobs wait once more, in front of all others, each with a new deadline."""

    def __init__(self, jobs: OpenJobs, lane: Lane, estimator: Estimator) -> None:
        self._jobs = jobs
        self._lane = lane
        self._estimator = estimator

    def of(self, ticket: Ticket, now: float) -> bool:
        """Whether another worker can go on with it, or begin anew."""
        return self.goes_on(ticket, now) or self._begins_anew(ticket, now)

    def goes_on(self, ticket: Ticket, now: float) -> bool:
        """Have another worker go on with an answer that has begun, if one can and somebody still
        waits for it. One that has not begun is refused, and SDKs repeat it."""
        job = ticket.job
        opened = self._jobs.waited_for(job.id)
        emitted = opened.emitted if opened is not None else None
        if opened is None or emitted is None or not emitted.tokens or not emitted.whole:
            return False
        if not self._waits_again(opened, ticket, emitted.tokens, now):
            return False
        logger.warning(
            "answer_migrates",
            extra={"request_id": job.id, "model": job.model, "tokens": emitted.count},
        )
        return True

    def _begins_anew(self, ticket: Ticket, now: float) -> bool:
        """Have another worker begin with a recording that is kept, of which its client has read
        nothing: to bring it once more would cost him more than a request does."""
        opened = self._jobs.waited_for(ticket.job.id)
        if opened is None or opened.stream is None or opened.input is None:
            return False
        has_spoken = opened.stream.first_at is not None
        if not opened.input.is_kept or not opened.input.begin_anew(has_spoken=has_spoken):
            return False
        if not self._waits_again(opened, ticket, {}, now):
            return False
        logger.warning(
            "recording_begins_anew", extra={"request_id": ticket.job.id, "model": ticket.job.model}
        )
        return True

    def _waits_again(
        self, opened: OpenJob, ticket: Ticket, written: Mapping[int, Sequence[int]], now: float
    ) -> bool:
        if not self._lane.go_on(ticket, written, now):
            return False
        self._estimator.requeue(ticket.job.id, now)
        opened.deadline_at = now + opened.spec.queue_timeout_s + opened.spec.request_timeout_s
        assert opened.stream is not None, "somebody waits for it"
        opened.stream.migrate(now)
        return True
