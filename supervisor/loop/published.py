"""How the models stand, as the frontend is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ipc.messages.state import ModelState
from supervisor.admin.event_log import EventLog
from supervisor.effects import Effects
from supervisor.fleet import model_states
from supervisor.fleet.member import Member
from supervisor.fleet.model_set import ModelSet
from supervisor.residency.loader import Loader

Tell = Callable[[list[ModelState]], None]


class Published:
    """Owns what was told last, and which models could not be fetched. ``tell`` is called with all
    states once one of them is another than before."""

    def __init__(
        self,
        models: ModelSet,
        loader: Loader,
        effects: Effects,
        events: EventLog,
        run_dir: str,
        unavailable: Mapping[str, str],
        tell: Tell,
    ) -> None:
        self._models = models
        self._loader = loader
        self._effects = effects
        self._events = events
        self._run_dir = Path(run_dir)
        self._unavailable = dict(unavailable)
        self._tell = tell
        self._states: list[ModelState] = []
        self._by_name: dict[str, ModelState] = {}

    @property
    def states(self) -> list[ModelState]:
        """All that was told last."""
        return self._states

    @property
    def unavailable(self) -> dict[str, str]:
        """The models that could not be fetched, each with why."""
        return self._unavailable

    def state(self, name: str) -> ModelState:
        """What was told of one model last. Raises `KeyError`."""
        return self._by_name[name]

    def set_unavailable(self, unavailable: Mapping[str, str]) -> None:
        """These models could not be fetched, and no others."""
        self._unavailable = dict(unavailable)

    def on_served(self, name: str) -> None:
        """The model is there."""
        self._unavailable.pop(name, None)

    def look_at(self, name: str) -> None:
        """Something has happened to a worker of the model. To look at all models for each that
        something happens to would take their square at each tick."""
        states = self._made_of(self._models.awaited_of(name), {})
        told = self._by_name.get(name)
        if states != ([] if told is None else [told]):
            self.look()

    def look(self) -> None:
        """Tell how all models stand, if one of them stands otherwise."""
        # Not those that have left: to a frontend, one that is not in its set could not be fetched.
        states = self._made_of(self._models.awaited, self._unavailable)
        if states != self._states:
            self._note_changes(states)
            self._states = states
            self._by_name = {one.name: one for one in reversed(states)}
            self._tell(states)

    def _made_of(self, workers: Sequence[Member], unavailable: dict[str, str]) -> list[ModelState]:
        return model_states.states(
            workers,
            unavailable,
            self._run_dir,
            self._effects.now(),
            self._models.resting,
            self._loader.refused,
            self._effects.footprint,
            self._models.drained,
        )

    def _note_changes(self, states: list[ModelState]) -> None:
        """An event for each model that stands otherwise than before."""
        before = {one.name: one.state for one in self._states}
        for one in states:
            if one.state != before.get(one.name):
                facts = {"reason": one.reason} if one.reason else {}
                self._events.add("model.state", one.name, state=one.state, **facts)
