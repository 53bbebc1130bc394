"""Where the jobs of one model stand, and when their turns come: its lane's order, and what its
estimator has measured."""

from __future__ import annotations

from frontend.dispatch.estimates.estimator import EACH, Estimator
from frontend.dispatch.estimates.loading import load_left_s
from frontend.dispatch.estimates.schedule import Capacity, Turn
from frontend.dispatch.estimates.standing import Standing
from frontend.dispatch.lane import Lane
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState


class Outlook:
    """Reads a ``lane`` and its ``estimator``. ``spec`` says what the model's workers will take, and
    ``state`` how far they are, while there is none."""

    def __init__(self, lane: Lane, estimator: Estimator, spec: Spec) -> None:
        self.spec = spec
        self.state = ModelState(name=spec.name, routes=[], state="starting")
        self._lane = lane
        self._estimator = estimator

    def standing(self, job_id: str, now: float) -> Standing:
        """Where a live job stands that has not ended."""
        ahead = self._lane.ahead_of(job_id)
        if ahead is None:
            end_s = self._estimator.left_s(job_id, self._capacity.slots, now)
            return Standing(state="running", position=0, start_s=0.0, end_s=end_s)
        turn = self._turn(ahead, self._before(job_id, ahead), now)
        loads = not self._lane.credit
        return Standing(
            state="loading" if loads else "queued",
            position=ahead + 1,
            start_s=None if turn is None else turn.handed_over_s,
            end_s=None if turn is None else self._end_s(job_id, turn),
            stage=self.state.stage if loads else None,
        )

    def start_s(self, now: float) -> float | None:
        """When a job would be handed over that came now; None where nobody knows."""
        turn = self._turn(self._lane.depth, self._before(None, self._lane.depth), now)
        return None if turn is None else turn.handed_over_s

    def load_left_s(self, now: float) -> float | None:
        """In how many seconds there should be a worker; None where nobody knows. A load begins once
        a worker that leaves has finished what it has in hand."""
        if self._lane.credit:
            return 0.0
        load_s = load_left_s(self.state, now)
        if load_s is None or self.state.state != "draining":
            return load_s
        return load_s + self._estimator.all_done_s(now)

    def pace_s(self, now: float) -> float:
        """The time from one job's end to the next one's while all slots are at work."""
        return self._estimator.pace_s(self._capacity, now)

    @property
    def _capacity(self) -> Capacity:
        lane, spec = self._lane, self.spec
        if lane.credit:
            return Capacity(lane.slots, lane.credit)
        return Capacity(spec.replicas * spec.slots, spec.replicas * spec.credit)

    def _turn(self, ahead: int, first: list[str], now: float) -> Turn | None:
        load_s = self.load_left_s(now)
        if load_s is None:
            return None
        return self._estimator.turn(ahead, first, self._capacity, load_s, now)

    def _before(self, job_id: str | None, ahead: int) -> list[str]:
        """Which jobs have their turns before this one, or before one that came now, if it is not
        worth more to look at each of them."""
        if self._lane.depth > EACH:
            return []
        return [job.id for job in self._lane.waiting()[:ahead] if job.id != job_id]

    def _end_s(self, job_id: str, turn: Turn) -> float | None:
        length_s = self._estimator.length_s(job_id, self._capacity.slots)
        return None if length_s is None else turn.begun_s + length_s
