"""The part of one box in models whose replicas are on several: it tells the others what its clients
want, takes the room that they leave, and, on the first box, says how many replicas there are, as
`supervisor.residency.replicas` decides for them as for workers of its own."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from ipc.messages.control import Demand, ModelDemand, Scale, Shared, Wanted
from ipc.messages.spec import Spec
from supervisor.admin.event_log import EventLog
from supervisor.effects import Effects
from supervisor.fleet.member import Member
from supervisor.residency.replicas import Replicas
from supervisor.residency.scaler import work_of

logger = logging.getLogger(__name__)

# What was decided and is not so by then is decided anew: the worker may have died with it.
CARRIED_OUT_S = 30.0


@dataclass(slots=True)
class _Known:
    """What is known of one model, served as ``spec`` says there. ``asked`` is what was decided last
    and when, until the cluster says that it is so; ``told`` what was said last, to which generation
    of the worker."""

    spec: Spec
    replicas: Replicas = field(default_factory=Replicas)
    stands: Shared | None = None
    asked: tuple[int, float] | None = None
    told: tuple[int, Wanted] | None = None


class ClusterScaler:
    """Owns what is decided of models of a cluster."""

    def __init__(self, events: EventLog, effects: Effects) -> None:
        self._events = events
        self._effects = effects
        self._demand: dict[str, ModelDemand] = {}
        self._known: dict[str, _Known] = {}

    def on_demand(self, demand: Demand) -> None:
        """Clients of this box want this of all models."""
        self._demand = {one.name: one for one in demand.models}

    def on_shared(self, worker: Member, stands: Shared) -> None:
        """The worker says how its model stands in the cluster: ``worker.room`` follows."""
        if (known := self._of(worker)) is None:
            return
        known.stands = stands
        if known.asked is not None and known.asked[0] == stands.count:
            known.asked = None
        worker.room = stands.room

    def second(self, workers: list[Member], now: float) -> None:
        """A second has passed: tell the others what is wanted, and decide where that is due."""
        names = {one.spec.name for one in workers if one.spec is not None}
        self._known = {name: one for name, one in self._known.items() if name in names}
        for worker in workers:
            if worker.replica.state == "ready" and (known := self._of(worker)) is not None:
                self._say(worker, known)
                self._decide(worker, known, now)

    def terms(self, name: str) -> dict[str, Any]:
        """Between which bounds the number of its replicas is, what it should be now and why, as
        JSON-ready data; nothing of a model whose number is fixed, or that is of no cluster."""
        known = self._known.get(name)
        if known is None or known.stands is None or not known.spec.scales:
            return {}
        scaling = {
            "min": known.spec.replicas,
            "max": known.spec.most_replicas,
            "wanted": known.asked[0] if known.asked is not None else known.stands.count,
            "why": known.replicas.why or None,
        }
        return {"scaling": scaling}

    def _of(self, worker: Member) -> _Known | None:
        """What is known of the worker's model, begun afresh where it is served otherwise by now;
        None for one that is of no cluster, or that is kept beside who serves it."""
        spec = worker.spec
        if spec is None or spec.cluster is None or worker.held:
            return None
        known = self._known.get(spec.name)
        if known is None or known.spec != spec.cluster.served:
            known = self._known[spec.name] = _Known(spec.cluster.served)
        return known

    def _say(self, worker: Member, known: _Known) -> None:
        demand, counters = self._demand.get(known.spec.name), worker.replica.counters
        wanted = Wanted(
            waiting=demand.waiting if demand else 0,
            in_hand=demand.in_hand if demand else 0,
            wait_s=demand.wait_s if demand else 0.0,
            jobs=counters.jobs,
            work=work_of(counters),
        )
        told = worker.replica.generation, wanted
        if told != known.told:
            known.told = told
            self._effects.send(worker.child, wanted)

    def _decide(self, worker: Member, known: _Known, now: float) -> None:
        stands = known.stands
        if stands is None or not stands.decides or not known.spec.scales:
            return
        if known.asked is not None and now - known.asked[1] < CARRIED_OUT_S:
            return
        change = known.replicas.decide(known.spec, stands, now)
        if change is None:
            return
        known.asked = change.count, now
        known.replicas.changed(change.why)
        self._effects.send(worker.child, Scale(change.count))
        kind = "replicas.more" if change.count > stands.count else "replicas.fewer"
        logger.info(
            kind, extra={"model": known.spec.name, "replicas": change.count, "why": change.why}
        )
        self._events.add(kind, known.spec.name, replicas=change.count, why=change.why)
