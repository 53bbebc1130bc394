"""The models to serve and their workers, as both change: who is to be started, who may go.

    add ----> in the set ----remove----> leaving --left, or too late--> retired ----> forgotten
                 |                                                         ^
                 +--another spec: an update, then the workers before it ---+

Pure: it starts and stops nobody, but says who is due (`due`). What an update is, see
`supervisor.reload.update`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ipc.messages.errors import Conflict, ModelNotFound
from ipc.messages.spec import Spec
from supervisor.fleet.due import Due, News
from supervisor.fleet.member import Member, by_model
from supervisor.fleet.renewals import Renewals
from supervisor.fleet.roster import MakeWorker, Roster
from supervisor.reload.live import same_work
from supervisor.reload.update import Step, Update


class ModelSet:
    """Owns which models are served, by which specs and by which of the workers in its roster.

    ``make`` makes a worker that has that name, which no other has ever had. The workers from before
    an update are kept for ``watch_s``. All times are monotonic seconds.
    """

    def __init__(self, make: MakeWorker, watch_s: float = 0.0) -> None:
        self._watch_s = watch_s
        self._roster = Roster(make)
        self._renewals = Renewals()
        self._specs: dict[str, Spec] = {}
        self._own: dict[str, list[str]] = {}  # who serves each model, those that leave too
        self._updates: dict[str, Update] = {}
        self._crowded: set[str] = set()  # the models whose workers wait until others have ended
        self._gone_at: dict[str, float] = {}  # when each model that leaves is waited for no longer
        self._resting: set[str] = set()  # the models that are not to be loaded now
        self._drained: set[str] = set()  # the models that take no new work

    @property
    def specs(self) -> list[Spec]:
        """The models that clients may ask for."""
        return list(self._specs.values())

    @property
    def wanted(self) -> dict[str, Spec]:
        """What each of them is to be served by: the new spec of one that is updated."""
        return self._specs | {name: update.new for name, update in self._updates.items()}

    @property
    def may_move(self) -> bool:
        """Whether any of them, or of their workers, may have to be loaded or unloaded now."""
        return bool(self._resting) or any(
            spec.load != "always" or spec.scales for spec in self._specs.values()
        )

    @property
    def leaving(self) -> set[str]:
        """The models that they may not ask for any more, and that still have workers."""
        return set(self._gone_at)

    @property
    def workers(self) -> list[Member]:
        """Everyone's, those of leaving models included."""
        return self._roster.everyone

    @property
    def awaited(self) -> list[Member]:
        """The workers that a request may still be for."""
        return [one for one in self.workers if self._is_awaited(one)]

    def _is_awaited(self, worker: Member) -> bool:
        assert worker.spec is not None
        name = worker.spec.name
        return name in self._specs or self._gone_at.get(name, -math.inf) > -math.inf

    def worker(self, name: str) -> Member | None:
        return self._roster.get(name)

    def spec(self, name: str) -> Spec | None:
        """The model of this name that clients may ask for."""
        return self._specs.get(name)

    def group(self, name: str) -> list[Member]:
        """All workers of one model."""
        return self._roster.group(name)

    def awaited_of(self, name: str) -> list[Member]:
        """Those of one model that a request may still be for."""
        return [one for one in self.group(name) if self._is_awaited(one)]

    # --- what is to be served ---

    def add(self, spec: Spec, *, downtime: bool = False) -> None:
        """The model joins, comes back before it has left, or is served as ``spec`` says now.

        A change that its workers are run by is an update: others are loaded beside them first, or
        with ``downtime`` in their place.
        """
        name = spec.name
        if spec.load == "always":
            self._resting.discard(name)
        elif name not in self._specs:
            self._resting.add(name)
        self._gone_at.pop(name, None)
        update, own = self._updates.get(name), self.serving(name)
        served = own[0].spec if own else None
        if update is not None and same_work(update.new, spec):
            update.new = spec
            _dress(update.fresh, spec)
            if update.switched_at is not None:
                self._specs[name] = spec
        elif update is not None and update.keeps_others and same_work(update.old, spec):
            update.old, update.back = spec, "it was changed back"
        elif served is None or same_work(served, spec) or name in self._resting:
            self._settle(spec)
        else:
            self._begin(served, spec, downtime=downtime)

    def roll_back(self, name: str) -> None:
        """Serve the model as before its update, or give up one that still loads. Raises `Conflict`
        where there is none, or the workers from before are gone, and `ModelNotFound`."""
        if name not in self._specs:
            raise ModelNotFound(f"this server has no model called {name!r}")
        update = self._updates.get(name)
        if update is None or not update.may_go_back:
            raise Conflict(
                f"model {name!r} has no worker from before an update; they are kept for "
                f"{self._watch_s:g} s after it. Change its entry back and reload"
            )
        update.back = "somebody asked for it"

    def update_of(self, name: str, now: float) -> dict[str, Any] | None:
        """How far the update of a model is; None where there is none."""
        update = self._updates.get(name)
        return None if update is None else update.report(now, self._watch_s)

    def remove(self, name: str, now: float) -> None:
        """The model leaves: its workers stay for what is queued, as long as that may take."""
        spec = self._specs.pop(name)
        self._updates.pop(name, None)
        self._resting.discard(name)
        self._drained.discard(name)
        self._gone_at[name] = now + spec.queue_timeout_s + spec.request_timeout_s

    def _begin(self, served: Spec, spec: Spec, *, downtime: bool) -> None:
        name, others = spec.name, self.serving(spec.name)
        fresh = [self._roster.add(spec) for _ in range(spec.replicas)]
        self._specs[name] = served
        self._updates[name] = Update(served, spec, fresh, [] if downtime else others)
        if downtime:
            self._crowded.add(name)
            self._take_over(name, fresh, spec)
        else:
            _hold(fresh, held=True)

    def _settle(self, spec: Spec, count: int | None = None) -> None:
        """Serve it by ``spec`` from now on, with those of its workers that can: ``count`` of them,
        or as many as there are, in the bounds that it has."""
        self._updates.pop(spec.name, None)
        serving = self.serving(spec.name)
        able = [one for one in serving if _serves(one, spec)]
        able.sort(key=lambda one: one.replica.state != "ready")
        wanted = len(serving) if count is None else count
        wanted = min(max(wanted, spec.replicas), spec.most_replicas)
        del able[wanted:]
        new = [self._roster.add(spec) for _ in range(len(able), wanted)]
        self._take_over(spec.name, [*able, *new], spec)
        # Those that load beside others that serve are held until they are ready.
        _hold(new, held=any(one.replica.state == "ready" for one in able))

    def _take_over(self, name: str, workers: list[Member], spec: Spec) -> None:
        """These serve the model from now on, and nobody else."""
        _hold(self.serving(name), held=True)
        _hold(workers, held=False)
        _dress(workers, spec)
        self._own[name] = [one.replica.name for one in workers]
        self._specs[name] = spec

    def serving(self, name: str) -> list[Member]:
        """The workers that serve the model, or are on their way to it."""
        return self._roster.staying(self._roster.named(self._own.get(name, [])))

    # --- how many workers serve a model ---

    def scales(self, name: str) -> bool:
        """Whether the number of its workers may be changed now: it is loaded, and nobody updates
        it."""
        spec = self._specs.get(name)
        moves = name in self._updates or name in self._resting
        return spec is not None and spec.scales and not moves

    def scale(self, name: str, count: int) -> None:
        """Have so many workers serve the model, which `scales`. One too many finishes what it has
        in hand."""
        self._settle(self._specs[name], count)

    # --- who takes work ---

    def drain(self, name: str, *, drained: bool) -> bool:
        """Whether the model takes no new work from now on. Returns whether that is news."""
        news = drained != (name in self._drained)
        self._drained ^= {name} if news else set()
        return news

    @property
    def drained(self) -> set[str]:
        """The models that take no new work until an operator says otherwise."""
        return self._drained

    # --- who is in memory ---

    def beside(self, group: Iterable[Member]) -> list[Member]:
        """Those of a model's workers that live and do not serve it: of an update, until the last
        has ended."""
        return [
            one
            for one in group
            if one.replica.alive
            and one.spec is not None
            and one.replica.name not in self._own.get(one.spec.name, [])
        ]

    def wake(self, name: str) -> None:
        """The model is to be loaded."""
        self._resting.discard(name)

    def rest(self, name: str) -> None:
        """The model is to be unloaded, and served again once it is woken."""
        if name in self._specs:
            self._resting.add(name)
            spec = self.wanted[name]
            self._settle(spec, spec.replicas)

    def renew(self, name: str) -> None:
        """The model's workers are to be replaced by fresh ones, one after the other."""
        self._renewals.add(one for one in self.serving(name) if _is_up(one))

    def retry(self, name: str) -> None:
        """Those of the model's workers that have failed are to be tried again at once."""
        failed = ("backoff", "failed")
        self._renewals.add(one for one in self.serving(name) if one.replica.state in failed)

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

    # --- who is due ---

    def due(self, now: float) -> Due:
        """Who is to be started and who is to end by now; each is named once."""
        due = Due()
        for name in list(self._updates):
            self._advance(name, due, now)
        for name, group in by_model(self.workers).items():
            staying = self._roster.staying(group)
            if name not in self._specs:
                if now >= self._gone_at.get(name, -math.inf):
                    due.retire.extend(staying)
            else:
                self._look_after(name, staying, due)
            due.renew.extend(self._renewals.due(self.serving(name)))
        self._roster.retire([*due.retire, *due.finish])
        return due

    def _look_after(self, name: str, staying: list[Member], due: Due) -> None:
        update, own = self._updates.get(name), self._own[name]
        kept = [*update.fresh, *update.others] if update else []
        for one in staying:
            if one.replica.name not in own and one not in kept:
                due.finish.append(one)
        serving = self.serving(name)
        _hold((one for one in serving if one.replica.state == "ready"), held=False)
        if name in self._resting:
            due.rest.extend(one for one in serving if _is_up(one))
            return
        if update is not None and update.switched_at is None and name not in self._crowded:
            due.start.extend(_next(update.fresh))
        due.start.extend(self._unborn(name, serving))

    def _unborn(self, name: str, serving: list[Member]) -> list[Member]:
        """Those that are to be started, all at once; of a crowded model once all others ended."""
        if name in self._crowded:
            if any(one.replica.alive and one not in serving for one in self.group(name)):
                return []
            self._crowded.discard(name)
        return [one for one in serving if one.replica.state == "stopped"]

    def _advance(self, name: str, due: Due, now: float) -> None:
        update = self._updates[name]
        match update.step(now, self._watch_s):
            case Step.SWITCH:
                update.on_switch(now)
                self._take_over(name, update.fresh, update.new)
                due.news.append(News("update.switched", name))
                due.switched = True
            case Step.DONE:
                del self._updates[name]
                due.news.append(News("update.done", name))
            case Step.BACK:
                self._return(name, update, due)

    def _return(self, name: str, update: Update, due: Due) -> None:
        """The model is served as before; without anybody who still could, by others anew."""
        served = update.switched_at is not None or not update.others
        due.news.append(
            News("update.rolled_back" if served else "update.failed", name, update.back)
        )
        due.switched = served
        del self._updates[name]
        if update.others:
            self._take_over(name, update.others, update.old)
        else:
            self._crowded.add(name)
            self._own[name] = []
            self._settle(update.old)

    def forget(self) -> None:
        """Drop those that have ended for good."""
        self._roster.forget()
        names = {one.spec.name for one in self.workers if one.spec is not None}
        self._gone_at = {name: at for name, at in self._gone_at.items() if name in names}
        kept = names | self._specs.keys()
        self._own = {
            name: [one.replica.name for one in self._roster.named(own)]
            for name, own in self._own.items()
            if name in kept
        }


def _is_up(worker: Member) -> bool:
    return worker.replica.state not in ("stopped", "draining")


def _serves(worker: Member, spec: Spec) -> bool:
    return worker.spec is not None and same_work(worker.spec, spec)


def _next(fresh: list[Member]) -> list[Member]:
    """Whom to start of those that load beside others: one after the other, since each takes as much
    memory as it takes while it loads."""
    states = [one.replica.state for one in fresh]
    if any(state not in ("stopped", "ready") for state in states):
        return []
    return [one for one in fresh if one.replica.state == "stopped"][:1]


def _hold(workers: Iterable[Member], *, held: bool) -> None:
    for one in workers:
        one.held = held


def _dress(workers: Iterable[Member], spec: Spec) -> None:
    for one in workers:
        one.spec = spec
