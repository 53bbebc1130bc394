"""Loads and unloads the models of a `ModelSet` as `supervisor.residency.decisions` decides."""

from __future__ import annotations

import logging
from typing import Any

from ipc.messages.control import Demand
from ipc.messages.spec import Spec
from supervisor import fleet
from supervisor.admin.event_log import EventLog
from supervisor.effects import Effects
from supervisor.model_set import ModelSet
from supervisor.residency import decisions
from supervisor.residency.decisions import Decision, Load, Refuse, Residency, Room, Unload
from supervisor.residency.policy import place, policy

logger = logging.getLogger(__name__)


class Loader:
    """Tells `Residency` how things stand, and has done what it says. ``budget_mb`` bounds what all
    models take together, 0: what the system has."""

    def __init__(
        self, models: ModelSet, effects: Effects, events: EventLog, budget_mb: int
    ) -> None:
        self._models = models
        self._effects = effects
        self._events = events
        self._budget_mb = budget_mb or None
        self._residency = Residency()
        self._refused: dict[str, tuple[str, float]] = {}  # why, and until when

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

    def on_frontend_gone(self) -> None:
        self._residency.on_frontend_gone(self._effects.now())

    # --- what operators wish, see supervisor.admin.wishes ---

    def load(self, name: str, keep_s: float | None) -> None:
        """Have the model loaded, or on its way; one that has failed is tried again at once. Raises
        `ModelNotFound`; `ModelPinned` or `InsufficientMemory` where there will be no room."""
        now = self._effects.now()
        self._look(now)
        self._residency.load(name, keep_s, self._room, now)
        self._models.retry(name)

    def unload(self, name: str, *, force: bool) -> None:
        """Have the model leave. Raises `ModelNotFound`, and `ModelBusy` unless ``force``."""
        now = self._effects.now()
        self._look(now)
        for decision in self._residency.unload(name, now, force=force):
            self._do(decision, now)

    def pin(self, name: str, *, pinned: bool) -> None:
        """Whether the model stays whoever else needs room. Raises `ModelNotFound`."""
        self._look(self._effects.now())
        self._residency.pin(name, pinned)

    def restart(self, name: str) -> None:
        """Have fresh workers for the model, one after the other. Raises `ModelNotFound`."""
        self._look(self._effects.now())
        self._residency.check(name)
        self._models.renew(name)

    def terms(self, name: str) -> dict[str, Any]:
        """What decides how long the model stays, as JSON-ready data."""
        now = self._effects.now()
        self._look(now)
        return self._residency.terms(name, now)

    def has_room_beside(self, spec: Spec) -> bool:
        """Whether workers of ``spec`` could be loaded now beside all that are in memory. Of what
        nobody can tell, say on a GPU, this is yes."""
        self._look(self._effects.now())
        needed_mb = policy(spec, self._effects.footprint(spec)).room_mb
        return not needed_mb or self._residency.left_mb(self._room()) >= needed_mb

    # --- time ---

    def turn(self) -> None:
        """Load whom somebody waits for; unload who has no work, or has to make room."""
        if not self._models.may_move:
            return
        now = self._effects.now()
        self._refused = {name: one for name, one in self._refused.items() if now < one[1]}
        self._look(now)
        for decision in self._residency.decide(self._room, now):
            self._do(decision, now)

    def _room(self) -> Room:
        return Room(self._effects.free_mb(), self._budget_mb)

    def _look(self, now: float) -> None:
        """What is known of the models and their workers by now."""
        policies = {
            spec.name: policy(spec, self._effects.footprint(spec)) for spec in self._models.specs
        }
        self._residency.set_policies(policies, now)
        for name, group in fleet.by_model(self._models.workers).items():
            self._residency.on_phase(name, place(fleet.best(group).state), now)

    def _do(self, decision: Decision, now: float) -> None:
        match decision:
            case Load(model):
                logger.info("load", extra={"model": model})
                self._events.add("model.load", model)
                self._models.wake(model)
            case Unload(model, why, whom, freed_mb):
                logger.info("unload", extra={"model": model, "why": why})
                self._events.add("model.unload", model, why=why)
                if whom is not None:
                    facts = {"victim": model, "for": whom, "freed_mb": freed_mb, "reason": why}
                    self._events.add("eviction", model, **facts)
                self._models.rest(model)
            case Refuse(model, why):
                logger.warning("no_room", extra={"model": model, "why": why})
                self._events.add("no_room", model, why=why)
                self._refused[model] = why, now + decisions.REFUSAL_S
