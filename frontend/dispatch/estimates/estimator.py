"""What a lane's jobs take and when their turns come, by what the jobs before them took.

One estimator serves a lane. It is told of each job's way and of the time, and decides nothing: the
same numbers are in ``Retry-After``, headers, comments, /health and metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from frontend.dispatch.estimates.durations import Durations
from frontend.dispatch.estimates.lengths import Lengths
from frontend.dispatch.estimates.overdue import time_left_s
from frontend.dispatch.estimates.schedule import Capacity, Turn, turn_behind_many, turn_of
from frontend.dispatch.estimates.work import Work
from ipc.messages.events import ChatResult, Done

# How long a job takes until one has been measured, each token that it writes, and how many these
# are where they may be more: a small model writes 50 a second on a CPU, and most answers are short.
UNKNOWN_S = 1.0
UNKNOWN_TOKEN_S = 0.02
UNKNOWN_TOKENS = 200
# Up to how many jobs ahead are looked at one by one.
EACH = 32
# For so long what is told behind a long queue is not worked out again, but for who comes and goes.
FRESH_S = 0.05
# From how many tokens on a job tells its own pace.
PACE_TOKENS = 8


@dataclass(slots=True)
class _Waiting:
    work: Work
    client: str


@dataclass(slots=True)
class _InHand:
    work: Work
    client: str
    route: str
    begun_at: float | None  # None: it waits for a slot of its worker
    beside: int = 1  # how many were at work when it began, which is all that can be known by then
    first_at: float | None = None
    written: int = 0
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class _Seen:
    """A turn that was worked out ``at`` a time, and by how much each job more puts it off."""

    at: float
    ahead: int
    capacity: Capacity
    turn: Turn
    pace_s: float


@dataclass(slots=True)
class Estimator:
    """Owns what was measured of a lane's jobs. ``slots`` is how many one worker works on at once.

    Times are seconds of the monotonic clock. Jobs in the background are not told to it: they make
    way for all others.
    """

    slots: int
    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _in_hand: dict[str, _InHand] = field(default_factory=dict)
    _reading: Durations = field(default_factory=Durations)
    _writing: Durations = field(default_factory=Durations)
    _lengths: Lengths = field(default_factory=Lengths)
    _seen: _Seen | None = None

    # --- what it is told ---

    def admit(self, job_id: str, work: Work, client: str) -> None:
        """The job waits from now on."""
        self._waiting[job_id] = _Waiting(work, client)

    def hand_over(self, job_id: str, route: str, now: float) -> None:
        """A worker has it, and begins it at once if it has a slot."""
        waiting = self._waiting.pop(job_id, None)
        if waiting is None:
            return
        job = _InHand(waiting.work, waiting.client, route, None)
        self._in_hand[job_id] = job
        self._begin_next(route, now)

    def requeue(self, job_id: str, now: float) -> None:
        """Its worker has not begun it: it waits again."""
        job = self._in_hand.get(job_id)
        if job is not None:
            self.leave(job_id, now)
            self.admit(job_id, job.work, job.client)

    def wrote(self, job_id: str, tokens: int, now: float) -> None:
        """A piece of its answer has come."""
        job = self._in_hand.get(job_id)
        if job is not None:
            job.first_at = job.first_at or now
            job.written += tokens

    def drop(self, job_id: str) -> None:
        """Its worker gives it up at its next step."""
        job = self._in_hand.get(job_id)
        if job is not None:
            job.dropped = True

    def done(self, job_id: str, done: Done, now: float) -> None:
        """It has come to its end; `leave` follows."""
        job = self._in_hand.get(job_id)
        if job is None or job.dropped:
            return
        began_at = job.begun_at  # from when it is told, however late a worker is
        if began_at is None and done.marks is not None and done.marks.work_s is not None:
            began_at = now - done.marks.work_s
        if began_at is None:
            return
        read_to = (job.first_at or now) if job.work.writes else now
        self._reading.learn(job.work.kind, job.work.read, max(0.0, read_to - began_at), job.beside)
        if isinstance(done.result, ChatResult):
            self._learn_writing(job, done.result, now - read_to)

    def leave(self, job_id: str, now: float) -> None:
        """It is in the lane no more, however it ended; unknown ones are ignored."""
        self._waiting.pop(job_id, None)
        job = self._in_hand.pop(job_id, None)
        if job is not None:
            self._begin_next(job.route, now)

    # --- what it says ---

    def turn(
        self, ahead: int, first: Sequence[str], capacity: Capacity, load_s: float, now: float
    ) -> Turn | None:
        """When the turn comes of a job that has so many ``ahead``; None where that depends on what
        was never measured. ``first`` are the ids of those, if they are few. All of them wait for
        ``load_s`` in any case, in which what is in hand has ended."""
        if (0 if load_s else len(self._in_hand)) + ahead < capacity.credit:
            return Turn(load_s, load_s)
        if not self.known:
            return None
        if len(first) < ahead or ahead > EACH:
            turn = self._turn_behind_many(ahead, capacity, now)
        else:
            begun, following = ([], []) if load_s else self._in_hand_s(capacity.slots, now)
            taken = [self._duration_s(self._waiting[one], capacity.slots) for one in first]
            turn = turn_of(begun, following, taken, capacity)
        return Turn(turn.handed_over_s + load_s, turn.begun_s + load_s)

    def length_s(self, job_id: str, beside: int) -> float | None:
        """How long a waiting job will take among ``beside``, where that is known: of a chat if its
        client's are much alike, or its length was asked for."""
        job = self._waiting.get(job_id)
        return None if job is None else self._length_s(job.work, job.client, beside)

    def left_s(self, job_id: str, slots: int, now: float) -> float | None:
        """In how long a job that a worker has will be done, where its length is known."""
        job = self._in_hand.get(job_id)
        if job is None:
            return None
        beside = self._at_work() if job.begun_at is not None else slots
        whole_s = self._length_s(job.work, job.client, beside)
        if whole_s is None:
            return None
        if job.begun_at is None:
            return self._slot_s(job, slots, now) + whole_s
        return time_left_s(whole_s, now - job.begun_at)

    def all_done_s(self, now: float) -> float:
        """In how long the workers should have finished all that they have in hand, if no more
        comes."""
        beside = max(1, self._at_work())
        begun, following = self._in_hand_s(beside, now)
        return max(begun, default=0.0) + sum(following) / beside

    def pace_s(self, capacity: Capacity, now: float) -> float:
        """The time from one job's end to the next one's while all slots are at work. Before any
        has ended, those in hand tell it by how far they have come."""
        mean_s = self._mean_s(capacity.slots) if self.known else self._first_s(now)
        return mean_s / max(1, capacity.slots)

    @property
    def known(self) -> bool:
        """Whether any job has been measured."""
        return self._reading.known

    # --- inside ---

    def _turn_behind_many(self, ahead: int, capacity: Capacity, now: float) -> Turn:
        """The turn behind so many that the mean tells. It was worked out for as many a moment ago,
        or for others; then what is more or less of them makes the difference."""
        seen = self._seen
        if seen is None or seen.capacity != capacity or not 0.0 <= now - seen.at < FRESH_S:
            mean_s = self._mean_s(capacity.slots)
            begun, following = self._in_hand_s(capacity.slots, now)
            turn = turn_behind_many(begun, following, ahead, mean_s, capacity)
            self._seen = seen = _Seen(now, ahead, capacity, turn, mean_s / max(1, capacity.slots))
        more_s = (ahead - seen.ahead) * seen.pace_s - (now - seen.at)
        handed_over_s = max(0.0, seen.turn.handed_over_s + more_s)
        return Turn(handed_over_s, max(handed_over_s, seen.turn.begun_s + more_s))

    def _slot_s(self, job: _InHand, slots: int, now: float) -> float:
        """In how long a job gets a slot that its worker holds for one."""
        begun, following = self._in_hand_s(slots, now)
        held = [one for one in self._in_hand.values() if one.begun_at is None and not one.dropped]
        before = following[: held.index(job)] if job in held else following
        return turn_of(begun, before, [], Capacity(slots, len(self._in_hand) + 1)).begun_s

    def _at_work(self) -> int:
        return sum(1 for job in self._in_hand.values() if job.begun_at is not None)

    def _begin_next(self, route: str, now: float) -> None:
        """A worker begins the next ones that it holds, as far as it has slots."""
        held = [job for job in self._in_hand.values() if job.route == route]
        begun = sum(1 for job in held if job.begun_at is not None)
        unbegun = (job for job in held if job.begun_at is None)
        for job in islice(unbegun, max(0, self.slots - begun)):
            job.begun_at, job.beside = now, self._at_work() + 1

    def _in_hand_s(self, beside: int, now: float) -> tuple[list[float], list[float]]:
        """What is left of the jobs at work, and what those take that wait for a slot."""
        begun, following = [], []
        for job in self._in_hand.values():
            if job.begun_at is not None:
                begun.append(0.0 if job.dropped else self._rest_s(job, beside, now))
            elif not job.dropped:
                following.append(self._duration_s(job, beside))
        return begun, following

    def _rest_s(self, job: _InHand, beside: int, now: float) -> float:
        """What is left of a job at work."""
        assert job.begun_at is not None
        if not job.work.writes or job.first_at is None:
            return time_left_s(self._duration_s(job, beside), now - job.begun_at)
        tokens = self._tokens(job.work, job.client, job.written)
        if job.written >= PACE_TOKENS:
            return tokens * (now - job.first_at) / job.written
        return self._expect(self._writing, "", tokens, beside)

    def _duration_s(self, job: _Waiting | _InHand, beside: int) -> float:
        tokens = self._tokens(job.work, job.client) if job.work.writes else None
        return self._takes_s(job.work, tokens, beside)

    def _length_s(self, work: Work, client: str, beside: int) -> float | None:
        """How long it takes, where its length is known."""
        if not self.known:
            return None
        if not work.writes:
            return self._takes_s(work, None, beside)
        usual = work.write_limit if work.exact else self._lengths.usual(client, work.write_limit)
        return None if usual is None else self._takes_s(work, usual, beside)

    def _takes_s(self, work: Work, tokens: float | None, beside: int) -> float:
        read_s = self._expect(self._reading, work.kind, work.read, beside)
        return read_s + (self._expect(self._writing, "", tokens, beside) if tokens else 0.0)

    def _tokens(self, work: Work, client: str, written: int = 0) -> float:
        """How many are still to come."""
        if work.exact:
            return max(0, work.write_limit - written)
        return self._lengths.rest(client, work.write_limit, written)

    def _mean_s(self, beside: int) -> float:
        """What a job takes on average of those that wait, or where none does, of those in hand."""
        jobs: list[_Waiting | _InHand] = [*islice(self._waiting.values(), EACH)]
        jobs = jobs or [*self._in_hand.values()]
        if not jobs or not self.known:
            return UNKNOWN_S
        return sum(self._duration_s(job, beside) for job in jobs) / len(jobs)

    def _first_s(self, now: float) -> float:
        """What the first jobs should take in all: by their own pace, else by what they were asked
        to write and how long they have lasted."""
        whole_s = [
            now - job.begun_at + self._first_rest_s(job, now)
            for job in self._in_hand.values()
            if job.begun_at is not None and not job.dropped
        ]
        return sum(whole_s) / len(whole_s) if whole_s else UNKNOWN_S

    def _first_rest_s(self, job: _InHand, now: float) -> float:
        assert job.begun_at is not None
        tokens = self._first_tokens(job) if job.work.writes else 0.0
        if job.first_at is not None and job.written >= PACE_TOKENS:
            return tokens * (now - job.first_at) / job.written
        return time_left_s(UNKNOWN_S + UNKNOWN_TOKEN_S * tokens, now - job.begun_at)

    def _first_tokens(self, job: _InHand) -> float:
        """How many are still to come of one of the first answers."""
        tokens = self._tokens(job.work, job.client, job.written)
        if job.work.exact:
            return tokens
        return min(tokens, max(UNKNOWN_TOKENS - job.written, job.written / 2))

    @staticmethod
    def _expect(durations: Durations, kind: str, size: float, beside: int) -> float:
        found = durations.expect(kind, size, beside)
        return UNKNOWN_S if found is None else found

    def _learn_writing(self, job: _InHand, result: ChatResult, seconds: float) -> None:
        tokens = result.usage.completion_tokens
        self._lengths.learn(job.client, tokens, cut=result.finish == "length")
        if job.first_at is not None and tokens > 1:
            self._writing.learn("", tokens, seconds, job.beside)
