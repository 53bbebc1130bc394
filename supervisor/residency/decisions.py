"""Which models are in memory: who is loaded for whom, and who has to leave.

    out --somebody waits, and it fits--> loading --> in --idle, or room is needed--> leaving --> out

`Residency` is told what clients want of each model (`on_demand`), how its workers stand
(`on_phase`) and how much memory is free, and says what to do (`decide`). It reads no clock and
touches nothing. The rules, and where other servers broke theirs, are in supervisor/DESIGN.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ipc.messages.control import ModelDemand
from ipc.messages.errors import InsufficientMemory, ModelBusy, ModelNotFound, ModelPinned
from supervisor.residency.policy import Phase, Policy
from supervisor.residency.resident import Resident

# For how long a model that others wait to replace goes on taking requests.
TURN_S = 30.0
# How long a model is refused for want of room before it is looked at again.
REFUSAL_S = 5.0


@dataclass(frozen=True, slots=True)
class Load:
    model: str


@dataclass(frozen=True, slots=True)
class Unload:
    """``whom`` it makes room for, if that is why, and what it held."""

    model: str
    why: str
    whom: str | None = None
    freed_mb: int = 0


@dataclass(frozen=True, slots=True)
class Refuse:
    """There is no room for the model, and none will come: whoever waits is told ``why``."""

    model: str
    why: str


Decision = Load | Unload | Refuse


@dataclass(frozen=True, slots=True)
class Room:
    """The memory for models: ``budget_mb`` for all together, None for no such bound, and what the
    system has ``free_mb`` now."""

    free_mb: float
    budget_mb: int | None = None


@dataclass
class Residency:
    """Owns what is known of each model's place in memory. Times are monotonic seconds."""

    _models: dict[str, Resident] = field(default_factory=dict)

    # --- what it is told ---

    def set_policies(self, policies: Mapping[str, Policy], now: float) -> None:
        """These are the models that clients may ask for."""
        for name in self._models.keys() - policies.keys():
            del self._models[name]
        for name, policy in policies.items():
            model = self._models.setdefault(name, Resident(name, policy, since=now, idle_since=now))
            model.policy = policy

    def on_demand(self, demand: ModelDemand, now: float) -> None:
        """Clients want this of the model."""
        model = self._models.get(demand.name)
        if model is None:
            return
        waiting, in_hand, jobs = demand.waiting, demand.in_hand, demand.jobs
        model.hear(demand.keep_s, anew=jobs != model.jobs)
        if model.busy and not (waiting or in_hand):
            model.idle_since = now
        if waiting and not model.wanted:
            model.waiting_since = now
        model.rate = model.rate_by(now) + max(0, jobs - model.jobs)
        model.rate_at = now
        model.waiting, model.in_hand, model.jobs = waiting, in_hand, jobs
        if not model.wanted:
            model.waiting_since = math.inf

    def on_frontend_gone(self, now: float) -> None:
        """Whoever waited has gone with it, and it counts afresh."""
        for model in self._models.values():
            self.on_demand(ModelDemand(name=model.name, waiting=0, in_hand=0, jobs=0), now)

    def on_phase(self, name: str, phase: Phase, now: float) -> None:
        """The model's workers stand like this."""
        model = self._models.get(name)
        if model is None or model.phase == phase:
            return
        if phase == "in":
            if model.phase == "loading":
                model.load_s, model.was_loaded = now - model.since, True
            model.idle_since = now
        if phase == "out":
            model.keep_s = None
        model.phase, model.since = phase, now

    # --- what operators wish ---

    def load(self, name: str, keep_s: float | None, look: Callable[[], Room], now: float) -> None:
        """Have it loaded as soon as there is room. ``keep_s`` counts until it leaves. Raises
        `ModelNotFound`; `ModelPinned` or `InsufficientMemory` where there will be no room."""
        model = self._named(name)
        model.idle_since = now
        if model.phase == "out" and not model.wished:
            self._check_room(model, look())
            model.refused_until = -math.inf
            model.waiting_since = min(model.waiting_since, now)
            model.wished = True
        if keep_s is not None:
            model.keep_s = keep_s

    def unload(self, name: str, now: float, *, force: bool) -> list[Decision]:
        """What is to be done so that it leaves. Raises `ModelNotFound`, and `ModelBusy` for one
        with work, unless ``force``."""
        model = self._named(name)
        if model.busy and not force:
            raise ModelBusy(
                f"model {name!r} has {model.waiting + model.in_hand} requests; unload it later, or "
                "with force, which lets it finish those that it works on"
            )
        model.wished = False
        if model.phase in ("out", "leaving"):
            return []
        return [self._unload(model, "an operator has unloaded it", now)]

    def pin(self, name: str, pinned: bool) -> None:
        """Whether others may take its place from now on. Raises `ModelNotFound`."""
        self._named(name).pin = pinned

    def check(self, name: str) -> None:
        """Raises `ModelNotFound`."""
        self._named(name)

    def terms(self, name: str, now: float) -> dict[str, bool | float | None]:
        """Whether it is ``pinned``, how many seconds without work it stays, None for ever, and in
        how many it leaves if it gets no more; for how long it has had none, and what its last load
        took, None where there is no such thing."""
        model = self._named(name)
        ever = model.stays or math.isinf(model.idle_s)
        return {
            "pinned": model.pinned,
            "idle_unload_s": None if ever else model.idle_s,
            "leaves_in_s": model.leaves_in_s(now),
            "idle_s": now - model.idle_since if model.phase == "in" and not model.busy else None,
            "load_s": model.load_s if model.was_loaded else None,
        }

    def _named(self, name: str) -> Resident:
        if name not in self._models:
            raise ModelNotFound(f"this server has no model called {name!r}", param="model")
        return self._models[name]

    def _check_room(self, model: Resident, room: Room) -> None:
        """Raises where a load could not succeed however long it waited."""
        short_mb = model.policy.room_mb - self.left_mb(room) - self._could_leave_mb()
        if short_mb <= 0:
            return
        pinned_mb = sum(one.held_mb for one in self._models.values() if one.stays)
        why = self._shortage(model, room)
        raise ModelPinned(why) if pinned_mb >= short_mb else InsufficientMemory(why)

    # --- what it says ---

    def decide(self, look: Callable[[], Room], now: float) -> list[Decision]:
        """What is to be done now. A `Load` and an `Unload` count as done once they are said: the
        model is loading or leaving from then on. ``look`` measures the room, where somebody needs
        some."""
        decisions: list[Decision] = [*self._idle(now)]
        if any(model.phase == "loading" for model in self._models.values()):
            return decisions  # what it will take is not known before it has
        if not (wanted := self._wanted(now)):
            return decisions
        room = look()
        for model in wanted:
            found = self._place(model, room, now)
            decisions += found
            if not (found and isinstance(found[0], Refuse)):
                break  # whoever has waited longest is next, so that nobody starves
        return decisions

    def _idle(self, now: float) -> Iterable[Decision]:
        for model in self._models.values():
            if model.stays or model.busy or model.phase != "in":
                continue
            if now - model.idle_since >= model.idle_s:
                yield self._unload(model, f"idle for {now - model.idle_since:.0f} s", now)

    def _wanted(self, now: float) -> list[Resident]:
        """Those that are waited for and are out, whoever has waited longest first."""
        wanted = [
            model
            for model in self._models.values()
            if model.phase == "out" and model.wanted and now >= model.refused_until
        ]
        return sorted(wanted, key=lambda model: model.waiting_since)

    def _place(self, model: Resident, room: Room, now: float) -> list[Decision]:
        """Load it if it fits; else make room, or wait for it, or say that there will be none."""
        short_mb = model.policy.room_mb - self.left_mb(room)
        if short_mb <= 0:
            model.phase, model.since, model.wished = "loading", now, False
            return [Load(model.name)]
        if any(other.phase == "leaving" for other in self._models.values()):
            return []
        late = now - model.waiting_since >= TURN_S
        victims = self._victims(short_mb, now, busy=False)
        if not victims and late:
            victims = self._victims(short_mb, now, busy=True)
        if victims:
            return [self._evict(victim, model, now) for victim in victims]
        if self._could_leave_mb() < short_mb:
            model.refused_until, model.wished = now + REFUSAL_S, False
            return [Refuse(model.name, self._shortage(model, room))]
        return []

    def left_mb(self, room: Room) -> float:
        """What no model holds, or may while it loads."""
        if room.budget_mb is None:
            return room.free_mb
        held_mb = sum(model.held_mb for model in self._models.values())
        return min(room.free_mb, room.budget_mb - held_mb)

    def _victims(self, short_mb: float, now: float, *, busy: bool) -> list[Resident]:
        """The models of least value that together hold so much; empty where all that may leave do
        not."""
        may_leave = [
            model
            for model in self._models.values()
            if model.may_leave(now) and (busy or not model.busy)
        ]
        may_leave.sort(key=lambda model: (model.busy, model.value(now), model.idle_since))
        for model in may_leave:
            if model.policy.need_mb >= short_mb:
                return [model]  # one is fewer than several, whatever they are worth
        chosen: list[Resident] = []
        for model in may_leave:
            chosen.append(model)
            short_mb -= model.policy.need_mb
            if short_mb <= 0:
                return _without_needless(chosen, -short_mb)
        return []

    def _could_leave_mb(self) -> float:
        """What will come free sooner or later if it has to."""
        return sum(model.held_mb for model in self._models.values() if not model.stays)

    def _shortage(self, model: Resident, room: Room) -> str:
        holders = ", ".join(
            f"{other.name} ({other.policy.need_mb} MB)"
            for other in self._models.values()
            if other.held_mb and other.stays
        )
        kept = f"; {holders} may not be unloaded" if holders else ""
        left_mb = self.left_mb(room)
        bound = f" within MEMORY_BUDGET_MB={room.budget_mb}" if left_mb < room.free_mb else ""
        return (
            f"model {model.name!r} needs {model.policy.room_mb} MB and "
            f"{max(0, math.floor(left_mb))} MB are free{bound}{kept}"
        )

    def _evict(self, model: Resident, whom: Resident, now: float) -> Unload:
        why = f"{whom.name} needs {whom.policy.room_mb} MB"
        return replace(self._unload(model, why, now), whom=whom.name, freed_mb=model.held_mb)

    def _unload(self, model: Resident, why: str, now: float) -> Unload:
        model.phase, model.since = "leaving", now
        if model.waiting:  # it has had its turn, so whoever it leaves for is before it
            model.waiting_since = now
        return Unload(model.name, why)


def _without_needless(chosen: list[Resident], spare_mb: float) -> list[Resident]:
    """``chosen`` less those without which as much comes free as is needed, the most valuable of
    them first: ``spare_mb`` is what they hold too much."""
    kept = list(chosen)
    for model in reversed(chosen):
        if model.policy.need_mb <= spare_mb:
            kept.remove(model)
            spare_mb -= model.policy.need_mb
    return kept
