"""Jobs that wait, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from frontend.dispatch.terms import PLAIN, Terms
from ipc.messages.jobs import Job


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job with its place in the lane, where it may wait for ``max_wait_s``."""

    job: Job
    size_bytes: int
    queued_at: float
    max_wait_s: float
    terms: Terms = PLAIN

    @property
    def background(self) -> bool:
        """Whether it runs only while its model has nothing else to do."""
        return self.terms.background

    def again(self) -> Ticket:
        """The same for another attempt."""
        attempt = self.job.attempt + 1
        return replace(self, job=msgspec.structs.replace(self.job, attempt=attempt))

    def behind(self, written: Mapping[int, Sequence[int]], now: float) -> Ticket:
        """The same for what follows ``written``, see `Job`. It waits from now on."""
        copied = {choice: list(tokens) for choice, tokens in written.items()}
        job = msgspec.structs.replace(self.job, written=copied)
        return replace(self, job=job, queued_at=now).again()


class Waiting:
    """A queue that jobs may leave from anywhere, by their ids."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._tickets

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self._tickets.values())

    def ahead_of(self, job_id: str) -> int:
        """How many are taken before this one, which must be there."""
        return next(ahead for ahead, waits in enumerate(self._tickets) if waits == job_id)

    def push(self, ticket: Ticket) -> None:
        self._tickets[ticket.job.id] = ticket
        self.size_bytes += ticket.size_bytes

    def push_in_front(self, ticket: Ticket) -> None:
        self._tickets = {ticket.job.id: ticket, **self._tickets}
        self.size_bytes += ticket.size_bytes

    def take(self, job_id: str) -> Ticket:
        """The same as `pop`: nobody pays for it."""
        return self.pop(job_id)

    def pop(self, job_id: str) -> Ticket:
        """Take it out; it must be there."""
        ticket = self._tickets.pop(job_id)
        self.size_bytes -= ticket.size_bytes
        return ticket
