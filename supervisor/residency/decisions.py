"""Which models are in memory: who is loaded for whom, and who has to leave.

    out --somebody waits, and it fits--> loading --> in --idle, or room is needed--> leaving --> out

`Residency` is told what clients want of each model (`on_demand`), how its workers stand
(`on_phase`) and how much memory is free, and says what to do (`decide`). It reads no clock and
touches nothing. The rules, and where other servers broke theirs, are in supervisor/DESIGN.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ipc.messages.control import ModelDemand
from ipc.messages.errors import InsufficientMemory, ModelBusy, ModelNotFound, ModelPinned
from ipc.messages.spec import Groups
from supervisor.residency.eviction import room_among
from supervisor.residency.policy import Phase, Policy
from supervisor.residency.resident import Resident
from supervisor.residency.returns import Returns
from supervisor.residency.room import Look, Room

# For how long a model that others wait to replace goes on taking requests, and is kept for what its
# load has taken: those who wait are refused after a while, see `Spec.queue_timeout_s`.
TURN_S = 30.0
# How long a model is refused for want of room before it is looked at again.
REFUSAL_S = 5.0
# The same for one that has lacked memory twice while it was loaded.
LACK_S = 300.0
# How much more than it had a model gets that has lacked memory.
RAISE = 1.2


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
class Spare:
    """The model gives ``workers`` that it has over its least, for ``whom``."""

    model: str
    workers: int
    whom: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The model cannot be loaded, nor soon: whoever waits is told ``why`` for ``seconds``."""

    model: str
    why: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Leaked:
    """Memory of a device that has not come back since ``model`` has left it."""

    model: str
    device: str
    missing_mb: int


Decision = Load | Unload | Spare | Refuse | Leaked


@dataclass
class Residency:
    """Owns what is known of each model's place in memory. Times are monotonic seconds."""

    groups: Groups = field(default_factory=Groups)
    _models: dict[str, Resident] = field(default_factory=dict)
    # Those that matter, and some that did a moment ago: what is decided looks at no others, so that
    # it costs what a box has in memory and is asked for, and not what its catalog has.
    _near: dict[str, Resident] = field(default_factory=dict)
    _returns: Returns = field(default_factory=Returns)

    # --- what it is told ---

    def set_policies(self, policies: Mapping[str, Policy], now: float) -> None:
        """These are the models that clients may ask for."""
        for name in self._models.keys() - policies.keys():
            del self._models[name]
            self._near.pop(name, None)
        for name, policy in policies.items():
            model = self._models.get(name)
            if model is None:
                model = self._models[name] = Resident(name, policy, since=now, idle_since=now)
            model.policy = policy.raised(model.least_mb)

    def on_demand(self, demand: ModelDemand, now: float) -> None:
        """Clients want this of the model."""
        model = self._models.get(demand.name)
        if model is None:
            return
        waiting, in_hand, jobs = demand.waiting, demand.in_hand, demand.jobs
        model.hear(demand.keep_s, anew=jobs != model.jobs)
        # A job that began and ended since the last report is known by the count alone.
        if jobs > model.jobs or (model.busy and not (waiting or in_hand)):
            model.idle_since = now
        if waiting and not model.wanted:
            model.waiting_since = now
        model.rate = model.rate_by(now) + max(0, jobs - model.jobs)
        model.rate_at = now
        model.waiting, model.in_hand, model.jobs = waiting, in_hand, jobs
        if not model.wanted:
            model.waiting_since = math.inf
        self._note(model)

    def on_frontend_gone(self, now: float) -> None:
        """Whoever waited has gone with it, and it counts afresh."""
        for model in self._models.values():
            self.on_demand(ModelDemand(name=model.name, waiting=0, in_hand=0, jobs=0), now)

    def on_phase(self, name: str, phase: Phase, now: float, load_s: float | None = None) -> None:
        """The model's workers stand like this; ``load_s`` is what its last load took them, if that
        was measured."""
        model = self._models.get(name)
        if model is None:
            return
        model.load_s = model.load_s if load_s is None else load_s
        if model.phase == phase:
            return
        if phase == "in":
            model.idle_since, model.lacked = now, False
        if phase == "out":
            model.keep_s = None
            self._returns.on_left(name, now)
        model.phase, model.since = phase, now
        self._note(model)

    def on_beside(self, name: str, beside_mb: int, leaving_mb: int = 0) -> None:
        """Workers of the model that do not serve it hold so much: those of an update, and those
        that leave, which hold ``leaving_mb`` of it."""
        model = self._models.get(name)
        if model is not None:
            model.beside_mb, model.leaving_mb = beside_mb, leaving_mb
            self._note(model)

    def on_extras(self, name: str, extras: int, extra_mb: int) -> None:
        """The model has so many workers over its least, each of which holds so much."""
        model = self._models.get(name)
        if model is not None:
            model.extras, model.extra_mb = extras, extra_mb
            self._note(model)

    def on_lacked_memory(self, name: str, seen_mb: float, now: float) -> list[Decision]:
        """There was not enough memory for its load, which came to hold ``seen_mb``. It is tried
        once more where it has more, then not for a while."""
        model = self._models.get(name)
        if model is None or model.policy.always:
            return []
        had_mb = max(model.policy.room_mb, math.ceil(seen_mb))
        model.least_mb = max(model.least_mb, math.ceil(RAISE * had_mb))
        model.policy = model.policy.raised(model.least_mb)
        again = not model.lacked
        model.lacked, model.wished = again, again
        self._note(model)
        gone = self._unload(model, "it lacked memory while it was loaded", now)
        if again:
            return [gone]
        why = (
            f"model {name!r} was loaded twice and lacked memory both times; it held "
            f"{math.ceil(seen_mb)} MB and would be given {model.policy.room_mb} MB next"
        )
        return [gone, self._refuse(model, why, LACK_S, now)]

    def invite(self, names: Iterable[str]) -> None:
        """Load these where there is room without anybody leaving, the most important first."""
        for name in names:
            if name in self._models:
                self._invite(self._models[name])

    def _invite(self, model: Resident) -> None:
        model.invited = True
        self._note(model)

    def _note(self, model: Resident) -> None:
        """What is known of it has changed, so it may matter from now on."""
        if model.matters:
            self._near[model.name] = model

    # --- what operators wish ---

    def load(self, name: str, keep_s: float | None, look: Look, now: float) -> None:
        """Have it loaded as soon as there is room; one that leaves comes back. ``keep_s`` counts
        until it leaves. Raises `ModelNotFound`; `ModelPinned` or `InsufficientMemory` where there
        will be no room."""
        model = self._named(name)
        model.idle_since = now
        if model.phase in ("out", "leaving") and not model.wished:
            if model.phase == "out":  # else it has had its room, and what that is cannot be told
                self._check_room(model, look(model.policy.device))
            model.refused_until = -math.inf
            model.waiting_since = min(model.waiting_since, now)
            model.wished = True
            self._note(model)
        if keep_s is not None:
            model.keep_s = keep_s

    def unload(self, name: str, now: float, *, force: bool) -> list[Decision]:
        """What is to be done so that it leaves. Raises `ModelNotFound`, and `ModelBusy` for one
        with work, unless ``force``."""
        model = self._named(name)
        if model.busy and not force:
            raise ModelBusy(
                f"model {name!r} has work ({model.in_hand} in hand, {model.waiting} waiting); "
                "unload it later, or with force, which lets it finish what it works on"
            )
        model.wished = False
        if model.phase in ("out", "leaving"):
            return []
        return [self._unload(model, "an operator has unloaded it", now)]

    def pin(self, name: str, pinned: bool) -> None:
        """Whether others may take its place from now on. Raises `ModelNotFound`."""
        self._named(name).pin = pinned

    def look_again(self, now: float) -> list[str]:
        """Those that were refused for want of room, and from now on are not: somebody has given
        some. Who has lacked memory twice while it was loaded stays refused."""
        again = [one for one in self._models.values() if now < one.refused_until <= now + REFUSAL_S]
        for one in again:
            one.refused_until = -math.inf
        return [one.name for one in again]

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
            "load_s": model.load_s,
        }

    def _named(self, name: str) -> Resident:
        if name not in self._models:
            raise ModelNotFound(f"this server has no model called {name!r}", param="model")
        return self._models[name]

    def _check_room(self, model: Resident, room: Room) -> None:
        """Raises where a load could not succeed however long it waited."""
        if (why := self._rivalry(model)) is not None:
            raise ModelPinned(why)
        short_mb = self._short_mb(model, room) - self._could_leave_mb(model)
        if short_mb <= 0:
            return
        pinned_mb = sum(one.held_mb for one in self._beside(model) if one.stays)
        why = self._shortage(model, room)
        raise ModelPinned(why) if pinned_mb >= short_mb else InsufficientMemory(why)

    def lacks_for_another(self, name: str, extra_mb: int, look: Look) -> str:
        """Why there is no room for one more worker of the model, which would hold so much; empty
        where there is. Nobody leaves for it, and who waits to be loaded is before it."""
        model = self._named(name)
        beside = self._beside(model)
        if not extra_mb:
            return "nobody knows what it would hold"
        if others := [one.name for one in beside if one.needs_room]:
            return f"{', '.join(others)} comes first"
        left_mb = self.left_mb(look(model.policy.device), model.policy.device)
        if left_mb >= extra_mb:
            return ""
        return f"it would hold {extra_mb} MB and {max(0, math.floor(left_mb))} MB are free"

    # --- what it says ---

    def decide(self, look: Look, now: float) -> list[Decision]:
        """What is to be done now. A `Load` and an `Unload` count as done once they are said: the
        model is loading or leaving from then on. ``look`` measures the room of a device, where
        somebody needs some."""
        self._near = {name: one for name, one in self._near.items() if one.matters}
        decisions: list[Decision] = [*self._idle(now), *self._leaks(look, now)]
        for device in {one.policy.device for one in self._near.values()}:
            decisions += self._decide_for(device, look, now)
        return decisions

    def _decide_for(self, device: str, look: Look, now: float) -> list[Decision]:
        models = self._at(device)
        if any(one.phase == "loading" for one in models):
            return []  # what it will take is not known before it has
        wanted = [one for one in models if one.may_load(now)]
        if not wanted:
            return []
        room = look(device)
        decisions: list[Decision] = []
        # Whoever has waited longest is next, so that nobody starves.
        for model in sorted(wanted, key=_turn):
            found = self._place(model, room, now)
            decisions += found
            if model.wanted and not (found and isinstance(found[0], Refuse)):
                break
            if model.phase == "loading":
                break
        return decisions

    def _idle(self, now: float) -> Iterable[Decision]:
        for model in self._near.values():
            if model.stays or model.phase != "in":
                continue
            together = [model, *self._companions(model)]
            idle_s = now - max(one.idle_since for one in together)
            if idle_s >= model.idle_s and not any(one.busy for one in together):
                yield self._unload(model, f"idle for {idle_s:.0f} s", now)

    def _leaks(self, look: Look, now: float) -> Iterable[Decision]:
        for one in self._returns.late(now):
            missing_mb = one.due_mb - look(one.device).free_mb
            if missing_mb > 0:
                yield Leaked(one.model, one.device, math.ceil(missing_mb))

    def _place(self, model: Resident, room: Room, now: float) -> list[Decision]:
        """Load it if it fits; else make room, or wait for it, or say that there will be none."""
        short_mb = self._short_mb(model, room)
        rivals = [one for one in self._rivals(model) if one.held]
        if short_mb <= 0 and not rivals:
            return self._load(model, now)
        if not model.wanted:
            model.invited = False
            return []
        beside = self._beside(model)
        if any(other.phase == "leaving" for other in (*beside, *rivals)):
            return []
        if (why := self._rivalry(model)) is not None:
            return [self._refuse(model, why, REFUSAL_S, now)]
        if self._returns.settles(model.policy.device, now):
            return []
        return self._make_room(model, room, rivals, now)

    def _make_room(
        self, model: Resident, room: Room, rivals: list[Resident], now: float
    ) -> list[Decision]:
        late = now - model.waiting_since >= TURN_S
        if rivals:
            free = all(one.may_leave(now, late=late) for one in rivals)
            return [self._evict(one, model, room, now) for one in rivals] if free else []
        beside = self._beside(model)
        short_mb = self._short_mb(model, room)
        missing_mb = short_mb - sum(one.leaving_mb for one in beside)
        if missing_mb <= 0:
            return []  # it comes free by itself
        found = room_among(beside, missing_mb, now, late=late)
        if found is None and self._could_leave_mb(model) < short_mb:
            return [self._refuse(model, self._shortage(model, room), REFUSAL_S, now)]
        if found is None:
            return []
        spares = [self._spare(one, model, workers) for one, workers in found.spares]
        return [*spares, *(self._evict(one, model, room, now) for one in found.victims)]

    def left_mb(self, room: Room, device: str = "cpu") -> float:
        """What no model of the device holds, or may while it loads."""
        return room.left_mb(sum(one.held_mb for one in self._at(device)))

    def _load(self, model: Resident, now: float) -> list[Decision]:
        model.phase, model.since = "loading", now
        model.wished = model.invited = False
        self._returns.on_load(model.policy.device)
        for one in self._companions(model):
            self._invite(one)
        return [Load(model.name)]

    def _refuse(self, model: Resident, why: str, seconds: float, now: float) -> Refuse:
        model.refused_until, model.wished = now + seconds, False
        return Refuse(model.name, why, seconds)

    # --- who is beside whom ---

    def _at(self, device: str) -> list[Resident]:
        """All models of the device that matter."""
        return [one for one in self._near.values() if one.policy.device == device]

    def _beside(self, model: Resident) -> list[Resident]:
        """All models of its device that matter, itself among them."""
        return self._at(model.policy.device)

    def _companions(self, model: Resident) -> list[Resident]:
        return self._called(self.groups.companions(model.name))

    def _rivals(self, model: Resident) -> list[Resident]:
        return self._called(self.groups.rivals(model.name))

    def _called(self, names: Iterable[str]) -> list[Resident]:
        return [self._models[name] for name in sorted(names) if name in self._models]

    def _rivalry(self, model: Resident) -> str | None:
        """Why it will not be loaded for a model that stays, however much memory there is."""
        staying = [one.name for one in self._rivals(model) if one.held and one.stays]
        if not staying:
            return None
        return f"model {model.name!r} is never loaded beside {', '.join(staying)}, which stays"

    # --- what there is room for ---

    def _short_mb(self, model: Resident, room: Room) -> float:
        return model.policy.room_mb - self.left_mb(room, model.policy.device)

    def _could_leave_mb(self, model: Resident) -> float:
        """What will come free sooner or later if it has to."""
        return sum(one.could_leave_mb for one in self._beside(model))

    def _shortage(self, model: Resident, room: Room) -> str:
        staying = [one for one in self._beside(model) if one.held_mb and one.stays]
        holders = ", ".join(f"{one.name} ({one.held_mb} MB)" for one in staying)
        kept = f"; {holders} may not be unloaded" if holders else ""
        needs_mb = model.policy.room_mb
        left_mb = needs_mb - self._short_mb(model, room)
        bound = f" within MEMORY_BUDGET_MB={room.budget_mb}" if left_mb < room.free_mb else ""
        where = "" if model.policy.device == "cpu" else f" on {model.policy.device}"
        return (
            f"model {model.name!r} needs {needs_mb} MB and {max(0, math.floor(left_mb))} MB are "
            f"free{where}{bound}{kept}"
        )

    def _spare(self, model: Resident, whom: Resident, workers: int) -> Spare:
        model.extras -= workers
        model.beside_mb += workers * model.extra_mb
        model.leaving_mb += workers * model.extra_mb
        return Spare(model.name, workers, whom.name)

    def _evict(self, model: Resident, whom: Resident, room: Room, now: float) -> Unload:
        rival = model.name in self.groups.rivals(whom.name)
        needs = "is never beside it" if rival else f"needs {whom.policy.room_mb} MB"
        freed_mb = model.held_mb
        self._returns.on_eviction(model.name, model.policy.device, room.free_mb, freed_mb)
        gone = self._unload(model, f"{whom.name} {needs}", now)
        return replace(gone, whom=whom.name, freed_mb=freed_mb)

    def _unload(self, model: Resident, why: str, now: float) -> Unload:
        model.phase, model.since = "leaving", now
        if model.waiting:  # it has had its turn, so whoever it leaves for is before it
            model.waiting_since = now
        return Unload(model.name, why)


def _turn(model: Resident) -> tuple[bool, float, int]:
    """Those that are waited for come first, by their time; then the invited by their priority."""
    return not model.wanted, model.waiting_since, -model.policy.priority
