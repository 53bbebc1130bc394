"""How many workers one model has, between its least and its most. Pure.

    n --requests wait for long, there is room--> n + 1 --n would do, or do as much--> n

`Replicas` is told how the model stands and says when that should change. What it says is held back
from turning round at once: another worker comes only after requests have waited too long for
`LATE_S`, and goes only once fewer would have done for all of the model's ``idle_s``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ipc.messages.control import Seen
from ipc.messages.spec import Spec

# For how long requests wait too long until another worker is loaded for them; and for how long at
# most if what the others do is not measured by then.
LATE_S = 5.0
LATE_UNMEASURED_S = 20.0
# What so many more workers must do, in terms of those before, so that the last one is kept.
GAIN = 1.1
# How long, and for how many requests, it is measured what all do while none has nothing to do.
MEASURE_S = 10.0
MEASURE_JOBS = 16
# The longest: from then on it is measured anew.
MEASURE_MOST_S = 60.0
# For how long another worker is not tried that did not pay, or did not come.
NO_GAIN_S = 3600.0
FAILED_S = 300.0


@dataclass(frozen=True, slots=True)
class Change:
    """The model should have so many workers."""

    count: int
    why: str


@dataclass(slots=True)
class Throughput:
    """What so many workers do a second while requests wait without a break. Only within one such
    time are numbers of workers compared, as what they are asked for may be another the next day."""

    _of: dict[int, float] = field(default_factory=dict)
    _ready: int = 0
    _began: tuple[float, int, float] = (0.0, 0, 0.0)  # when, with what done until then

    def note(self, seen: Seen, now: float) -> None:
        """Nothing is measured while a worker is on its way: its load takes from the others."""
        if not seen.waiting:
            self._of.clear()
            self._ready = 0
        if not seen.waiting or seen.ready != seen.count:
            return
        began_at, jobs, work = self._began
        if seen.ready != self._ready or seen.jobs < jobs:
            self._of.pop(seen.ready, None)
            self._ready, self._began = seen.ready, (now, seen.jobs, seen.work)
            return
        lasted_s = now - began_at
        if lasted_s >= MEASURE_S and seen.jobs - jobs >= MEASURE_JOBS:
            self._of[seen.ready] = (seen.work - work) / lasted_s
            if lasted_s >= MEASURE_MOST_S:
                self._began = now, seen.jobs, seen.work

    def knows(self, count: int) -> bool:
        return count in self._of

    def gain(self, count: int) -> float | None:
        """What so many do in terms of one fewer; None where either was not measured."""
        fewer, now = self._of.get(count - 1), self._of.get(count)
        return now / fewer if fewer and now is not None else None


@dataclass(slots=True)
class Replicas:
    """Owns what is known of one model's number of workers. Times are monotonic seconds."""

    why: str = ""  # of the last change, or of none where one would be due
    _throughput: Throughput = field(default_factory=Throughput)
    _late_since: float | None = None
    _spare_since: float | None = None
    _barred: dict[int, float] = field(default_factory=dict)  # numbers, and until when

    def decide(self, spec: Spec, seen: Seen, now: float) -> Change | None:
        """How many there should be from now on; None: as many as there are. `changed` tells that
        it was done."""
        self._throughput.note(seen, now)
        self._watch(spec, seen, now)
        if seen.count > spec.replicas and (why := self._complaint(seen, now)):
            return Change(seen.count - 1, why)
        if self._is_spare(spec, seen, now):
            why = f"{seen.count - 1} would have done for {spec.scaling.idle_s:g} s"
            return Change(seen.count - 1, why)
        if self._is_late(spec, seen, now):
            return Change(seen.count + 1, f"a request would wait {seen.wait_s:.0f} s")
        return None

    def changed(self, why: str) -> None:
        """There is another number of them since now, for whatever reason."""
        self.why = why
        self.rest()

    def rest(self) -> None:
        """Nobody looks at the model for a while: what lasted until now does so no longer."""
        self._late_since = self._spare_since = None

    def _watch(self, spec: Spec, seen: Seen, now: float) -> None:
        late = seen.wait_s >= spec.scaling.wait_s
        spare = not seen.waiting and seen.in_hand <= (seen.count - 1) * spec.slots
        self._late_since = _since(self._late_since, now) if late else None
        self._spare_since = _since(self._spare_since, now) if spare else None

    def _complaint(self, seen: Seen, now: float) -> str:
        """Why the last one is of no use; it is not tried again for a while."""
        if seen.failed:
            self._barred[seen.count] = now + FAILED_S
            return f"one did not come: {seen.failed}"
        gain = self._throughput.gain(seen.count) if seen.ready == seen.count else None
        if gain is None or gain >= GAIN:
            return ""
        self._barred[seen.count] = now + NO_GAIN_S
        return f"{seen.count} did {gain:.2f} times the work of {seen.count - 1}"

    def _is_spare(self, spec: Spec, seen: Seen, now: float) -> bool:
        if seen.count <= spec.replicas or self._spare_since is None:
            return False
        return now - self._spare_since >= spec.scaling.idle_s

    def _is_late(self, spec: Spec, seen: Seen, now: float) -> bool:
        if seen.ready != seen.count or seen.count >= spec.most_replicas:
            return False
        if self._late_since is None or now < self._barred.get(seen.count + 1, -math.inf):
            return False
        patience_s = LATE_S if self._throughput.knows(seen.count) else LATE_UNMEASURED_S
        return now - self._late_since >= patience_s


def _since(before: float | None, now: float) -> float:
    return now if before is None else before
