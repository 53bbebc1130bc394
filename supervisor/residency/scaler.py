"""Changes how many workers models have, as `supervisor.residency.replicas` decides for each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ipc.messages.control import Counters, Demand, ModelDemand, Seen
from ipc.messages.spec import Spec
from supervisor.admin.event_log import EventLog
from supervisor.fleet.member import Member
from supervisor.fleet.model_set import ModelSet
from supervisor.reload.live import same_work
from supervisor.residency.replicas import Replicas

logger = logging.getLogger(__name__)

# What a token that is written takes in terms of one that is read, as clients' shares count it.
WRITTEN = 4.0


class Scaler:
    """Owns what is decided by of models whose number of workers varies. ``lacks`` says why there is
    no room for one more; nothing where there is."""

    def __init__(self, models: ModelSet, events: EventLog, lacks: Callable[[Spec], str]) -> None:
        self._models = models
        self._events = events
        self._lacks = lacks
        self._demand: dict[str, ModelDemand] = {}
        self._known: dict[str, tuple[Spec, Replicas]] = {}

    def on_demand(self, demand: Demand) -> None:
        """Clients want this of all models."""
        self._demand = {one.name: one for one in demand.models}

    def turn(self, now: float) -> None:
        """Time has passed: have one worker more, or one fewer, where that is due."""
        specs = {spec.name: spec for spec in self._models.specs if spec.scales}
        self._known = {name: one for name, one in self._known.items() if name in specs}
        for name, spec in specs.items():
            replicas = self._replicas(spec)
            if self._models.scales(name):
                self._decide(spec, replicas, now)
            else:
                replicas.rest()

    def fewer(self, name: str, workers: int, why: str) -> None:
        """The model gives so many up at once."""
        self._change(name, len(self._models.serving(name)) - workers, why)

    def terms(self, name: str) -> dict[str, Any]:
        """Between which bounds the number of its workers is, what it should be now and why, as
        JSON-ready data; nothing of a model whose number is fixed."""
        spec = self._models.spec(name)
        if spec is None or not spec.scales:
            return {}
        scaling = {
            "min": spec.replicas,
            "max": spec.most_replicas,
            "wanted": len(self._models.serving(name)),
            "why": self._replicas(spec).why or None,
        }
        return {"scaling": scaling}

    def _decide(self, spec: Spec, replicas: Replicas, now: float) -> None:
        serving = self._models.serving(spec.name)
        change = replicas.decide(spec, _seen(serving, self._demand.get(spec.name)), now)
        if change is None:
            return
        if change.count > len(serving) and (lacking := self._lacks(spec)):
            replicas.why = f"no room for another: {lacking}"
            return
        self._change(spec.name, change.count, change.why)

    def _change(self, name: str, count: int, why: str) -> None:
        more = count > len(self._models.serving(name))
        self._models.scale(name, count)
        if name in self._known:
            self._known[name][1].changed(why)
        kind = "replicas.more" if more else "replicas.fewer"
        logger.info(kind, extra={"model": name, "replicas": count, "why": why})
        self._events.add(kind, name, replicas=count, why=why)

    def _replicas(self, spec: Spec) -> Replicas:
        """Those of the model, begun afresh where its workers are others by now."""
        before = self._known.get(spec.name)
        kept = before[1] if before is not None and same_work(before[0], spec) else Replicas()
        self._known[spec.name] = spec, kept
        return kept


def _seen(serving: list[Member], demand: ModelDemand | None) -> Seen:
    ready = [one.replica.counters for one in serving if one.replica.state == "ready"]
    return Seen(
        count=len(serving),
        ready=len(ready),
        failed=next((why for one in serving if (why := _failure(one))), ""),
        waiting=demand.waiting if demand else 0,
        in_hand=demand.in_hand if demand else 0,
        wait_s=demand.wait_s if demand else 0.0,
        jobs=sum(one.jobs for one in ready),
        work=sum(map(work_of, ready)),
    )


def _failure(worker: Member) -> str:
    """Why it will not come; empty for one that may."""
    replica = worker.replica
    given_up = replica.state == "failed" or (replica.state == "backoff" and replica.lacked_memory)
    return (replica.last_exit or replica.reason or "it failed") if given_up else ""


def work_of(done: Counters) -> float:
    """What a worker has done, in tokens; where there are none, in requests."""
    return done.jobs + done.prompt_tokens + WRITTEN * done.completion_tokens
