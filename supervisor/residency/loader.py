"""Loads and unloads the models of a `ModelSet` as `supervisor.residency.decisions` decides."""

from __future__ import annotations

import logging

from ipc.messages.control import Demand
from supervisor import fleet
from supervisor.admin.event_log import EventLog
from supervisor.effects import Effects
from supervisor.model_set import ModelSet
from supervisor.residency import decisions
from supervisor.residency.decisions import Decision, Load, Refuse, Residency, Room, Unload

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
        for one in demand.models:
            self._residency.on_demand(one.name, one.waiting, one.in_hand, one.jobs, now)

    def on_frontend_gone(self) -> None:
        self._residency.on_frontend_gone(self._effects.now())

    def turn(self) -> None:
        """Load whom somebody waits for; unload who has no work, or has to make room."""
        if not self._models.on_demand:
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
            spec.name: decisions.policy(spec, self._effects.footprint(spec))
            for spec in self._models.specs
        }
        self._residency.set_policies(policies, now)
        for name, group in fleet.by_model(self._models.workers).items():
            self._residency.on_phase(name, decisions.place(fleet.best(group).state), now)

    def _do(self, decision: Decision, now: float) -> None:
        match decision:
            case Load(model):
                logger.info("load", extra={"model": model})
                self._models.wake(model)
            case Unload(model, why):
                logger.info("unload", extra={"model": model, "why": why})
                self._events.add("unload", model, why=why)
                self._models.rest(model)
            case Refuse(model, why):
                logger.warning("no_room", extra={"model": model, "why": why})
                self._events.add("no_room", model, why=why)
                self._refused[model] = why, now + decisions.REFUSAL_S
