"""The models to serve and their workers, as both change: who is to be started, who may go.

    add ----> in the set ----remove----> leaving --left, or too late--> retired ----> forgotten
                 |                                                         ^
                 +--another spec: workers of the new one, then those of the old one

Pure: it starts and stops nobody, but says who is due (`due`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ipc.messages.spec import Spec
from supervisor.fleet import Member, by_model, may_be_away

MakeWorker = Callable[[str, Spec], Member]


@dataclass(frozen=True, slots=True)
class Due:
    """Who is to be started, who is to drain and end for good, who for now, and who to be replaced
    by a fresh process."""

    start: list[Member] = field(default_factory=list)
    retire: list[Member] = field(default_factory=list)
    rest: list[Member] = field(default_factory=list)
    renew: list[Member] = field(default_factory=list)


class ModelSet:
    """Owns the workers from when their model joins until they have ended for good.

    ``make`` makes a worker that has that name, which no other has ever had. All times are monotonic
    seconds.
    """

    def __init__(self, make: MakeWorker) -> None:
        self._make = make
        self._specs: dict[str, Spec] = {}
        self._workers: dict[str, Member] = {}
        self._counts: dict[str, int] = {}  # how many workers each task has ever had
        self._gone_at: dict[str, float] = {}  # when each model that leaves is waited for no longer
        self._retired: set[str] = set()  # the workers that are to end
        self._resting: set[str] = set()  # the models that are not to be loaded now
        self._worn: set[str] = set()  # the workers that are to be replaced, in turns

    @property
    def specs(self) -> list[Spec]:
        """The models that clients may ask for."""
        return list(self._specs.values())

    @property
    def may_move(self) -> bool:
        """Whether any of them may have to be loaded or unloaded now."""
        return bool(self._resting) or any(spec.load != "always" for spec in self._specs.values())

    @property
    def leaving(self) -> set[str]:
        """The models that they may not ask for any more, and that still have workers."""
        return set(self._gone_at)

    @property
    def workers(self) -> list[Member]:
        """Everyone's, those of leaving models included."""
        return list(self._workers.values())

    @property
    def awaited(self) -> list[Member]:
        """The workers that a request may still be for."""
        return [one for one in self.workers if self._is_awaited(one)]

    def _is_awaited(self, worker: Member) -> bool:
        assert worker.spec is not None
        name = worker.spec.name
        return name in self._specs or self._gone_at.get(name, -math.inf) > -math.inf

    def worker(self, name: str) -> Member | None:
        return self._workers.get(name)

    def add(self, spec: Spec) -> None:
        """The model joins, comes back before it has left, or is served as ``spec`` says now."""
        if spec.load == "always":
            self._resting.discard(spec.name)
        elif spec.name not in self._specs:
            self._resting.add(spec.name)
        self._specs[spec.name] = spec
        self._gone_at.pop(spec.name, None)
        for _ in range(len(self._serving(spec)), spec.replicas):
            count = self._counts[spec.task] = self._counts.get(spec.task, 0) + 1
            name = f"{spec.task}-{count}"
            self._workers[name] = self._make(name, spec)

    def remove(self, name: str, now: float) -> None:
        """The model leaves: its workers stay for what is queued, as long as that may take."""
        spec = self._specs.pop(name)
        self._resting.discard(name)
        self._gone_at[name] = now + spec.queue_timeout_s + spec.request_timeout_s

    def wake(self, name: str) -> None:
        """The model is to be loaded."""
        self._resting.discard(name)

    def rest(self, name: str) -> None:
        """The model is to be unloaded, and served again once it is woken."""
        if name in self._specs:
            self._resting.add(name)

    def renew(self, name: str) -> None:
        """The model's workers are to be replaced by fresh ones, one after the other."""
        workers = by_model(self.workers).get(name, [])
        self._worn |= {one.replica.name for one in workers if _is_up(one)}

    def retry(self, name: str) -> None:
        """Those of the model's workers that have failed are to be tried again at once."""
        workers = by_model(self.workers).get(name, [])
        failed = ("backoff", "failed")
        self._worn |= {one.replica.name for one in workers if one.replica.state in failed}

    @property
    def resting(self) -> set[str]:
        """The models that are out of memory, or leave it, until somebody asks for them."""
        return self._resting

    def on_left(self, name: str) -> None:
        """Nobody waits for an answer of the model any more."""
        if name in self._gone_at:
            self._gone_at[name] = -math.inf

    def on_frontend_gone(self) -> None:
        """Who waited for an answer has gone with it."""
        for name in self._gone_at:
            self.on_left(name)

    def due(self, now: float) -> Due:
        """Who is to be started and who is to end by now; each is named once."""
        due = Due()
        for name, group in by_model(self.workers).items():
            staying = [one for one in group if one.replica.name not in self._retired]
            spec = self._specs.get(name)
            if spec is not None and name in self._resting:
                due.retire.extend(one for one in staying if one.spec != spec)
                due.rest.extend(one for one in staying if one.spec == spec and _is_up(one))
            elif spec is not None:
                _replace(spec, staying, due)
            elif now >= self._gone_at.get(name, -math.inf):
                due.retire.extend(staying)
            due.renew.extend(self._due_for_renewal(staying))
        self._retired |= {one.replica.name for one in due.retire}
        return due

    def _due_for_renewal(self, group: list[Member]) -> Iterator[Member]:
        """Those that wear no longer once they are named: whoever serves nobody goes at once."""
        for one in group:
            name, serves = one.replica.name, one.replica.state == "ready"
            if name in self._worn and (not serves or may_be_away(one, group)):
                self._worn.remove(name)
                yield one
                if serves:
                    return

    def forget(self) -> None:
        """Drop those that have ended for good."""
        ended = [name for name in self._retired if self._workers[name].replica.state == "stopped"]
        for name in ended:
            self._retired.remove(name)
            del self._workers[name]
        names = {one.spec.name for one in self.workers if one.spec is not None}
        self._gone_at = {name: at for name, at in self._gone_at.items() if name in names}

    def _serving(self, spec: Spec) -> list[Member]:
        everyone = self._workers.items()
        return [one for name, one in everyone if one.spec == spec and name not in self._retired]


def _is_up(worker: Member) -> bool:
    return worker.replica.state not in ("stopped", "draining")


def _replace(spec: Spec, group: list[Member], due: Due) -> None:
    """Workers of ``spec`` come one after the other, each ready before one of another spec goes: the
    model is never short of a worker, and takes the memory of one more meanwhile."""
    fresh = [one for one in group if one.spec == spec]
    old = [one for one in group if one.spec != spec]
    unborn = [one for one in fresh if one.replica.state == "stopped"]
    ready = sum(one.replica.state == "ready" for one in fresh)
    if not old:
        due.start.extend(unborn)
    elif ready == len(fresh) - len(unborn):
        due.start.extend(unborn[:1])
    old.sort(key=lambda one: one.replica.state == "ready")
    due.retire.extend(old[: max(0, len(old) - (len(fresh) - ready))])
