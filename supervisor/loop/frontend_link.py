"""What the frontend is told, and when it may be told that."""

from __future__ import annotations

from ipc.messages.admin import BoxEvent, Happened, Told
from ipc.messages.control import Models, Reconfigure, Serve, States, ToChild
from ipc.messages.state import ModelState
from supervisor.effects import Effects
from supervisor.fleet.member import frontend
from supervisor.fleet.model_set import ModelSet
from supervisor.loop.plan_in_force import PlanInForce


class FrontendLink:
    """Owns the frontend, and whether its present generation knows what to serve: what changes
    before it has asked is part of the answer."""

    def __init__(self, effects: Effects, plan: PlanInForce, models: ModelSet) -> None:
        self._effects = effects
        self._plan = plan
        self._models = models
        self.member = frontend(effects)
        self._welcomed = 0  # the generation that has been told what to serve

    @property
    def is_welcomed(self) -> bool:
        return self.member.replica.generation == self._welcomed

    def welcome(self) -> Serve:
        """The answer to its first words."""
        self._welcomed = self.member.replica.generation
        return self._serve()

    def tell_settings(self) -> None:
        """The settings have changed."""
        if self.is_welcomed:
            self._tell(Reconfigure(self._serve()))

    def tell_models(self) -> None:
        """The models have changed."""
        if self.is_welcomed:
            self._tell(Models(self._models.specs))

    def tell_states(self, states: list[ModelState]) -> bool:
        """The models stand like this. Returns whether it serves, and so was told."""
        serving = self.member.replica.serving
        if serving:
            self._tell(States(states))
        return serving

    def tell_event(self, event: BoxEvent) -> None:
        if self.member.replica.serving:
            self._tell(Happened([event]))

    def tell_all(self, states: list[ModelState], events: list[BoxEvent]) -> None:
        """It has become ready: what it has missed."""
        self._tell(States(states))
        self._tell(Happened(events))

    def answer(self, told: Told) -> None:
        """What it has asked for an operator."""
        self._tell(told)

    def _serve(self) -> Serve:
        return self._plan.serve(self._models.specs)

    def _tell(self, message: ToChild) -> None:
        self._effects.send(self.member.child, message)
