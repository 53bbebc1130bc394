"""The models that are served: who joins, changes and leaves, and what that has to be done."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from ipc.messages.spec import Spec
from supervisor.admin.event_log import EventLog
from supervisor.effects import Effects
from supervisor.fleet.due import Due, News
from supervisor.fleet.member import Happen, Member
from supervisor.fleet.model_set import ModelSet
from supervisor.lifecycle.escalation import NOTICE_S
from supervisor.lifecycle.happenings import Begin, Renew, Stop
from supervisor.loop.frontend_link import FrontendLink
from supervisor.loop.plan_in_force import PlanInForce
from supervisor.loop.published import Published
from supervisor.plan import Plan
from supervisor.reload.changes import Changes
from supervisor.residency.loader import Loader

logger = logging.getLogger(__name__)


class ServedModels:
    """Does what the set of models says is due, and tells the frontend. ``happen`` tells a worker's
    state machine. Once the server stops (`end`), nothing is due any more."""

    def __init__(
        self,
        models: ModelSet,
        plan: PlanInForce,
        frontend: FrontendLink,
        loader: Loader,
        published: Published,
        effects: Effects,
        events: EventLog,
        happen: Happen,
    ) -> None:
        self._models = models
        self._plan = plan
        self._frontend = frontend
        self._loader = loader
        self._published = published
        self._effects = effects
        self._events = events
        self._happen = happen
        self._ended = False

    def begin(self) -> None:
        """Serve the models of the plan, the most important first."""
        for spec in sorted(self._plan.now.serve.specs, key=lambda spec: -spec.priority):
            self._models.add(spec)
        self.do_due()

    def end(self) -> None:
        """The server stops."""
        self._ended = True

    # --- which models ---

    def add(self, spec: Spec, *, downtime: bool = False) -> None:
        """Serve ``spec`` from now on: a model that joins, or one that is served in another way,
        with ``downtime`` where its old and its new workers do not fit together."""
        self._published.on_served(spec.name)
        self._models.add(spec, downtime=downtime)
        self._frontend.tell_models()
        self.do_due()

    def remove(self, name: str) -> None:
        """Serve this model no more. What it was asked for is answered. Raises `KeyError`."""
        self._models.remove(name, self._effects.now())
        if not self._frontend.is_welcomed:
            self._models.on_left(name)  # no client has ever heard of it
        self._frontend.tell_models()
        self.do_due()

    def on_left(self, name: str) -> None:
        """The frontend holds nothing more of a model that was removed."""
        self._models.on_left(name)
        self.do_due()

    def roll_back(self, name: str) -> None:
        """Serve the model as before its update. Raises as `ModelSet.roll_back`."""
        self._models.roll_back(name)
        self.do_due()

    def on_pulled(self, spec: Spec, weights: str) -> None:
        """A model was pulled: serve it when somebody asks for it, or as it was served before. The
        catalog says by now that it is served, which the next reading finds."""
        if self._ended:
            return
        self._effects.know_weights(spec.name, weights)
        served = next((one.load for one in self._models.specs if one.name == spec.name), None)
        self.add(msgspec.structs.replace(spec, load=served or "on_demand"))

    def on_files_removed(self, name: str) -> None:
        """The files of a model were removed: serve it no more, if it still is served."""
        if name in self._models.wanted and not self._ended:
            self.remove(name)

    # --- another plan ---

    def has_room(self, spec: Spec) -> bool:
        """Whether new workers of the model fit beside its old ones."""
        return spec.name in self._models.resting or self._loader.has_room_beside(spec)

    def take_over(
        self, plan: Plan, specs: Sequence[Spec], changes: Changes, crowded: list[str]
    ) -> None:
        """Put ``plan`` in force where it changes something; ``crowded`` models have no room for two
        generations."""
        self._plan.set(plan)
        for name, weights in plan.weights.items():
            self._effects.know_weights(name, weights)
        for name in changes.removed:
            self.remove(name)
        moved = {*changes.added, *changes.updated, *changes.adjusted}
        for spec in specs:
            if spec.name in moved:
                self.add(spec, downtime=spec.name in crowded)
        served = self._models.wanted
        self._published.set_unavailable(
            {name: why for name, why in plan.unavailable.items() if name not in served}
        )
        if changes.settings:
            self._frontend.tell_settings()
        self._published.look()

    # --- what is due ---

    def do_due(self) -> None:
        """Start who is missing, stop who is not wanted any more, forget who has gone."""
        if self._ended:
            return
        due = self._models.due(self._effects.now())
        for news in due.news:
            self._tell_news(news)
        if due.switched:
            self._frontend.tell_models()
            self._published.look()
        for member in due.start:
            self._begin_worker(member)
        self._stop_workers(due)
        for member in due.renew:
            self._happen(member, Renew("an operator asked for it"))
        self._models.forget()

    def _begin_worker(self, member: Member) -> None:
        """The first one of a model that has none is the load of it."""
        assert member.spec is not None
        name = member.spec.name
        if not any(one.replica.alive for one in self._models.group(name)):
            logger.info("load", extra={"model": name})
            self._events.add("model.load", name)
        self._happen(member, Begin())

    def _stop_workers(self, due: Due) -> None:
        for member in due.retire:
            self._happen(member, Stop(self._plan.now.drain_s, notice_s=NOTICE_S))
        for member in (*due.finish, *due.rest):
            assert member.spec is not None
            # What it has in hand is finished, however long that may take.
            self._happen(member, Stop(member.spec.request_timeout_s, notice_s=NOTICE_S))

    def _tell_news(self, news: News) -> None:
        level = logging.WARNING if news.why else logging.INFO
        facts = {"why": news.why} if news.why else {}
        logger.log(level, news.type, extra={"model": news.model, **facts})
        self._events.add(news.type, news.model, **facts)

    # --- who is in memory ---

    def load_and_unload(self) -> None:
        """Load and unload whom clients' demand asks for."""
        if self._ended:
            return
        self._loader.turn()
        self.do_due()
        self._published.look()

    def settle(self, name: str) -> dict[str, Any]:
        """Do what an operator has wished for; returns how the model stands then."""
        self.do_due()
        self.load_and_unload()
        self._loader.look()
        standing = self._published.state(name)
        return {
            "model": name,
            "state": standing.state,
            "reason": standing.refused or standing.reason,
            **self._loader.terms(name),
        }

    def terms(self, name: str) -> dict[str, Any]:
        """How long a model stays in memory, and how far its update is."""
        update = self._models.update_of(name, self._effects.now())
        return {**self._loader.terms(name), "update": update}
