"""Whether a new generation of a model does worse than the one that it has replaced; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ipc.messages.control import Counters

# Fewer failures than these prove nothing, and some of any model's requests fail, for instance since
# their clients have left: so many of a hundred more than before are too many.
FAILURES = 3
MORE_FAILURES = 0.05
# From so many answers on their pace is compared. What requests ask for differs by more than what a
# worse model costs, so only a large difference counts.
JOBS = 20
SLOWER = 2.0


@dataclass(frozen=True, slots=True)
class Record:
    """What workers have done: jobs that were answered and that failed, the seconds of work on those
    answered, and the tokens that they wrote."""

    jobs: int = 0
    failed: int = 0
    work_s: float = 0.0
    tokens: int = 0

    @classmethod
    def of(cls, counters: Iterable[Counters]) -> Record:
        every = list(counters)
        return cls(
            sum(one.jobs for one in every),
            sum(one.failed for one in every),
            sum(one.work_s for one in every),
            sum(one.completion_tokens for one in every),
        )

    @property
    def failure_rate(self) -> float:
        return self.failed / max(1, self.jobs + self.failed)

    def pace_s(self, *, by_token: bool) -> float:
        """Seconds of work for each job, or for each token."""
        return self.work_s / max(1, self.tokens if by_token else self.jobs)


def worse(before: Record, after: Record) -> str | None:
    """Why the one ``after`` is worse; None where nothing shows it."""
    more = after.failure_rate - before.failure_rate
    if after.failed >= FAILURES and more > MORE_FAILURES:
        return (
            f"{after.failed} of {after.jobs + after.failed} requests failed, "
            f"before {before.failure_rate:.0%} did"
        )
    if min(before.jobs, after.jobs) < JOBS:
        return None
    by_token = before.tokens > 0 and after.tokens > 0
    paces = [one.pace_s(by_token=by_token) for one in (before, after)]
    if paces[1] > SLOWER * paces[0]:
        what = "token" if by_token else "request"
        return f"a {what} takes {1000 * paces[1]:.1f} ms of work, before {1000 * paces[0]:.1f} ms"
    return None
