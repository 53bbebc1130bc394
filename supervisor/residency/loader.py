"""Loads and unloads the models of a `ModelSet` as `supervisor.residency.decisions` decides."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from ipc.messages.control import Demand, Shared
from ipc.messages.spec import Spec
from supervisor.admin.event_log import EventLog
from supervisor.effects import Effects
from supervisor.fleet import model_states
from supervisor.fleet.member import Member, by_model
from supervisor.fleet.model_set import ModelSet
from supervisor.plan import Plan
from supervisor.residency.cluster_scaler import ClusterScaler
from supervisor.residency.decisions import (
    Decision,
    Leaked,
    Load,
    Refuse,
    Residency,
    Spare,
    Unload,
)
from supervisor.residency.policy import place, policy
from supervisor.residency.room import Room
from supervisor.residency.scaler import Scaler

logger = logging.getLogger(__name__)


class Loader:
    """Tells `Residency` how things stand, and has done what it says."""

    def __init__(self, models: ModelSet, effects: Effects, events: EventLog, plan: Plan) -> None:
        self._models = models
        self._effects = effects
        self._events = events
        self._budget_mb = plan.memory_budget_mb or None
        self._preloads = plan.preload
        self._residency = Residency(plan.groups)
        self._refused: dict[str, tuple[str, float]] = {}  # why, and until when
        self._scaler = Scaler(models, events, self._lacks_for_another)
        self._cluster = ClusterScaler(events, effects)

    @property
    def refused(self) -> dict[str, str]:
        """The models for which there is no room now, each with why."""
        return {name: why for name, (why, _) in self._refused.items()}

    def on_demand(self, demand: Demand) -> None:
        """Clients want something else of the models than before."""
        now = self._effects.now()
        self._look(now)
        for one in demand.models:
            self._residency.on_demand(one, now)
        self._scaler.on_demand(demand)
        self._cluster.on_demand(demand)

    def on_frontend_gone(self) -> None:
        self._residency.on_frontend_gone(self._effects.now())
        self._scaler.on_demand(Demand([]))
        self._cluster.on_demand(Demand([]))

    def on_shared(self, worker: Member, stands: Shared) -> None:
        """The worker of a model of a cluster says how that stands there."""
        self._cluster.on_shared(worker, stands)

    def on_lacked_memory(self, name: str, seen_mb: float) -> None:
        """A worker of the model has found too little memory for its load, of which it had so much
        when it was last looked at."""
        now = self._effects.now()
        if model_states.best(self._models.group(name)).state == "ready":
            return  # others of its workers are in memory
        for decision in self._residency.on_lacked_memory(name, seen_mb, now):
            self._do(decision, now)

    # --- from one run to the next ---

    def begin(self) -> None:
        """Have the models loaded again that were ready when the server last stopped, where there is
        room beside those that are always loaded."""
        if self._preloads:
            self._look(self._effects.now())
            self._residency.invite(self._effects.residents_before())

    def end(self) -> None:
        """Keep which models that were loaded on demand are ready."""
        groups = by_model(self._models.workers)
        ready = [
            spec.name
            for spec in self._models.specs
            if spec.load == "on_demand" and model_states.best(groups[spec.name]).state == "ready"
        ]
        self._effects.keep_residents(ready if self._preloads else [])

    # --- what operators wish, see supervisor.admin.wishes ---

    def load(self, name: str, keep_s: float | None) -> None:
        """Have the model loaded, or on its way; one that has failed is tried again at once. Raises
        `ModelNotFound`; `ModelPinned` or `InsufficientMemory` where there will be no room."""
        now = self._effects.now()
        self._look(now)
        self._residency.load(name, keep_s, self._room, now)
        self._refused.pop(name, None)
        self._models.retry(name)

    def unload(self, name: str, *, force: bool) -> None:
        """Have the model leave. Raises `ModelNotFound`, and `ModelBusy` unless ``force``."""
        now = self._effects.now()
        self._look(now)
        for decision in self._residency.unload(name, now, force=force):
            self._do(decision, now)
        self._look_again(now)

    def pin(self, name: str, *, pinned: bool) -> None:
        """Whether the model stays whoever else needs room. Raises `ModelNotFound`."""
        now = self._effects.now()
        self._look(now)
        self._residency.pin(name, pinned)
        if not pinned:
            self._look_again(now)

    def restart(self, name: str) -> None:
        """Have fresh workers for the model, one after the other. Raises `ModelNotFound`."""
        self._look(self._effects.now())
        self._residency.check(name)
        self._models.renew(name)

    def drain(self, name: str, *, drained: bool) -> None:
        """Whether the model takes no new work. Raises `ModelNotFound`."""
        self._look(self._effects.now())
        self._residency.check(name)
        if self._models.drain(name, drained=drained):
            act = "model.drain" if drained else "model.resume"
            logger.info(act, extra={"model": name})
            self._events.add(act, name)

    def terms(self, name: str) -> dict[str, Any]:
        """What decides how long the model stays, how many workers it has and whether it takes work,
        as JSON-ready data: as of the last `look`."""
        return {
            **self._residency.terms(name, self._effects.now()),
            **self._scaler.terms(name),
            **self._cluster.terms(name),
            "drained": name in self._models.drained,
        }

    def look(self) -> None:
        """Hear how all models and their workers stand."""
        self._look(self._effects.now())

    def has_room_beside(self, spec: Spec) -> bool:
        """Whether workers of ``spec`` could be loaded now beside all that are in memory. Of what
        nobody can tell, say on a GPU, this is yes."""
        self._look(self._effects.now())
        needed_mb = policy(spec, self._effects.footprint(spec)).room_mb
        return not needed_mb or self._left_mb(spec.device) >= needed_mb

    # --- time ---

    def second(self) -> None:
        """A second has passed: tell other boxes what is wanted of models that are theirs, too."""
        self._cluster.second(self._models.workers, self._effects.now())

    def turn(self) -> None:
        """Load whom somebody waits for; unload who has no work, or has to make room."""
        if not self._models.may_move:
            return
        now = self._effects.now()
        self._refused = {name: one for name, one in self._refused.items() if now < one[1]}
        self._look(now)
        for decision in self._residency.decide(self._room, now):
            self._do(decision, now)
        self._scaler.turn(now)

    def _look_again(self, now: float) -> None:
        """An operator has given room, which counts at once for who was refused for want of it."""
        for name in self._residency.look_again(now):
            self._refused.pop(name, None)

    def _lacks_for_another(self, spec: Spec) -> str:
        return self._residency.lacks_for_another(spec.name, self._worker_mb(spec), self._room)

    def _left_mb(self, device: str) -> float:
        return self._residency.left_mb(self._room(device), device)

    def _room(self, device: str) -> Room:
        budget_mb = self._budget_mb if device == "cpu" else None
        return Room(self._effects.free_mb(device), budget_mb)

    def _look(self, now: float) -> None:
        """What is known of the models and their workers by now."""
        policies = {
            spec.name: policy(spec, self._effects.footprint(spec)) for spec in self._models.specs
        }
        self._residency.set_policies(policies, now)
        for name, group in by_model(self._models.workers).items():
            best = model_states.best(group)
            self._residency.on_phase(name, place(best.state), now, best.load_s)
            beside = self._models.beside(group)
            leaving = [one for one in beside if one.replica.state == "draining"]
            self._residency.on_beside(name, self._held_mb(beside), self._held_mb(leaving))
        for spec in self._models.specs:
            if spec.scales:
                extras = max(0, len(self._models.serving(spec.name)) - spec.replicas)
                self._residency.on_extras(spec.name, extras, self._worker_mb(spec))

    def _held_mb(self, workers: Iterable[Member]) -> int:
        """What these take, or may while they load."""
        return sum(self._worker_mb(one.spec) for one in workers if one.spec is not None)

    def _worker_mb(self, spec: Spec) -> int:
        """What must be free for one worker."""
        return policy(replace(spec, replicas=1), self._effects.footprint(spec)).room_mb

    def _do(self, decision: Decision, now: float) -> None:
        match decision:
            case Load(model):
                self._models.wake(model)
            case Unload(model, why, whom, freed_mb):
                logger.info("unload", extra={"model": model, "why": why})
                self._events.add("model.unload", model, why=why)
                if whom is not None:
                    facts = {"victim": model, "for": whom, "freed_mb": freed_mb, "reason": why}
                    self._events.add("eviction", model, **facts)
                self._models.rest(model)
            case Spare(model, workers, whom):
                self._scaler.fewer(model, workers, f"{whom} needs room")
            case Leaked(model, device, missing_mb):
                facts = {"device": device, "missing_mb": missing_mb}
                logger.error("device_leaked", extra={"model": model, **facts})
                self._events.add("device.leaked", model, **facts)
            case Refuse(model, why, seconds):
                logger.warning("no_room", extra={"model": model, "why": why})
                self._events.add("no_room", model, why=why)
                self._refused[model] = why, now + seconds
