"""Which models are in memory: who is loaded for whom, and who has to leave.

    out --somebody waits, and it fits--> loading --> in --idle, or room is needed--> leaving --> out

`Residency` is told what clients want of each model (`on_demand`), how its workers stand
(`on_phase`) and how much memory is free, and says what to do (`decide`). It reads no clock and
touches nothing. The rules, and where other servers broke theirs, are in supervisor/DESIGN.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ipc.messages.spec import Spec
from ipc.messages.state import ReplicaState
from supervisor.state.footprints import Footprint

Phase = Literal["out", "loading", "in", "leaving", "failed"]

# A model stays for this long at least once it is in, or for so many times what its load has taken,
# whichever is more: two that do not fit together would do nothing but load.
RESIDENCE_S = 30.0
RESIDENCE_LOADS = 4
# For how long a model that others wait to replace goes on taking requests.
TURN_S = 30.0
# How long a model is refused for want of room before it is looked at again.
REFUSAL_S = 5.0
# A first load has nothing but an estimate.
ESTIMATE_HEADROOM = 1.2
# How fast it is forgotten that a model was asked for.
RATE_HALF_LIFE_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is known of a model beforehand. ``always``: it is in for as long as the server runs.
    ``idle_s`` is how long it stays without work, 0 for ever. ``pinned``: no other takes its place.

    ``need_mb`` is what all its workers take, ``load_mb`` the most while they load, both 0 where
    nobody knows; ``measured`` tells a measurement from an estimate.
    """

    always: bool = True
    idle_s: float = 0.0
    pinned: bool = False
    need_mb: int = 0
    load_mb: int = 0
    measured: bool = False

    @property
    def stays(self) -> bool:
        """Whether it never leaves, once it is in."""
        return self.always or self.pinned

    @property
    def room_mb(self) -> int:
        """What must be free for a load."""
        most = max(self.need_mb, self.load_mb)
        return most if self.measured else math.ceil(most * ESTIMATE_HEADROOM)


def policy(spec: Spec, measured: Footprint | None) -> Policy:
    """That of ``spec``, whose worker was ``measured`` before, or never."""
    on_cpu = spec.device == "cpu"  # what was measured is the system's memory, not a GPU's
    need_mb = measured.private_mb if measured else spec.memory_mb
    load_mb = measured.peak_mb or 0 if measured else 0
    return Policy(
        always=spec.load == "always",
        idle_s=spec.idle_unload_s,
        pinned=spec.pin,
        need_mb=spec.replicas * need_mb if on_cpu else 0,
        load_mb=spec.replicas * load_mb if on_cpu else 0,
        measured=measured is not None,
    )


def place(state: ReplicaState) -> Phase:
    """Where a model is whose best worker is in this state."""
    places: dict[ReplicaState, Phase] = {
        "starting": "loading",
        "ready": "in",
        "draining": "leaving",
        "stopped": "out",
    }
    # One that waits for its next start holds nothing, and holds nobody up.
    return places.get(state, "failed")


@dataclass(frozen=True, slots=True)
class Load:
    model: str


@dataclass(frozen=True, slots=True)
class Unload:
    model: str
    why: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """There is no room for the model, and none will come: whoever waits is told ``why``."""

    model: str
    why: str


Decision = Load | Unload | Refuse


@dataclass(slots=True)
class _Model:
    name: str
    policy: Policy
    phase: Phase = "out"
    since: float = 0.0  # when its phase began
    load_s: float = 1.0  # what its last load took
    waiting: int = 0
    in_hand: int = 0
    waiting_since: float = math.inf
    idle_since: float = 0.0
    jobs: int = 0
    rate: float = 0.0  # requests, those of a while ago counting less
    rate_at: float = 0.0
    refused_until: float = -math.inf

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.in_hand)

    @property
    def held_mb(self) -> int:
        """What it takes now, or may while it loads."""
        if self.phase == "loading":
            return max(self.policy.need_mb, self.policy.load_mb)
        return self.policy.need_mb if self.phase in ("in", "leaving") else 0

    def rate_by(self, now: float) -> float:
        faded: float = 0.5 ** ((now - self.rate_at) / RATE_HALF_LIFE_S)
        return self.rate * faded

    def value(self, now: float) -> float:
        """What keeping it saves: seconds of loading, for each MB that it holds."""
        return self.rate_by(now) * self.load_s / max(1, self.policy.need_mb)

    def may_leave(self, now: float) -> bool:
        """Whether its place may be given to another, as soon as it has no work."""
        stays_s = max(RESIDENCE_S, RESIDENCE_LOADS * self.load_s)
        return self.phase == "in" and not self.policy.stays and now - self.since >= stays_s


@dataclass(frozen=True, slots=True)
class Room:
    """The memory for models: ``budget_mb`` for all together, None for no such bound, and what the
    system has ``free_mb`` now."""

    free_mb: float
    budget_mb: int | None = None


@dataclass
class Residency:
    """Owns what is known of each model's place in memory. Times are monotonic seconds."""

    _models: dict[str, _Model] = field(default_factory=dict)

    # --- what it is told ---

    def set_policies(self, policies: Mapping[str, Policy], now: float) -> None:
        """These are the models that clients may ask for."""
        for name in self._models.keys() - policies.keys():
            del self._models[name]
        for name, policy in policies.items():
            model = self._models.setdefault(name, _Model(name, policy, since=now, idle_since=now))
            model.policy = policy

    def on_demand(self, name: str, waiting: int, in_hand: int, jobs: int, now: float) -> None:
        """So many requests wait for the model and are in its workers' hands; ``jobs`` is how many
        there have ever been."""
        model = self._models.get(name)
        if model is None:
            return
        if model.busy and not (waiting or in_hand):
            model.idle_since = now
        if not waiting:
            model.waiting_since = math.inf
        elif not model.waiting:
            model.waiting_since = now
        model.rate = model.rate_by(now) + max(0, jobs - model.jobs)
        model.rate_at = now
        model.waiting, model.in_hand, model.jobs = waiting, in_hand, jobs

    def on_frontend_gone(self, now: float) -> None:
        """Whoever waited has gone with it, and it counts afresh."""
        for model in self._models.values():
            self.on_demand(model.name, 0, 0, 0, now)

    def on_phase(self, name: str, phase: Phase, now: float) -> None:
        """The model's workers stand like this."""
        model = self._models.get(name)
        if model is None or model.phase == phase:
            return
        if phase == "in":
            if model.phase == "loading":
                model.load_s = now - model.since
            model.idle_since = now
        model.phase, model.since = phase, now

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
            policy = model.policy
            if policy.stays or not policy.idle_s or model.busy:
                continue
            if model.phase == "in" and now - model.idle_since >= policy.idle_s:
                yield self._unload(model, f"idle for {now - model.idle_since:.0f} s", now)

    def _wanted(self, now: float) -> list[_Model]:
        """Those that are waited for and are out, whoever has waited longest first."""
        wanted = [
            model
            for model in self._models.values()
            if model.phase == "out" and model.waiting and now >= model.refused_until
        ]
        return sorted(wanted, key=lambda model: model.waiting_since)

    def _place(self, model: _Model, room: Room, now: float) -> list[Decision]:
        """Load it if it fits; else make room, or wait for it, or say that there will be none."""
        short_mb = model.policy.room_mb - self._left_mb(room)
        if short_mb <= 0:
            model.phase, model.since = "loading", now
            return [Load(model.name)]
        if any(other.phase == "leaving" for other in self._models.values()):
            return []
        late = now - model.waiting_since >= TURN_S
        victims = self._victims(short_mb, now, busy=False)
        if not victims and late:
            victims = self._victims(short_mb, now, busy=True)
        if victims:
            why = f"{model.name} needs {model.policy.room_mb} MB"
            return [self._unload(victim, why, now) for victim in victims]
        if self._could_leave_mb() < short_mb:
            model.refused_until = now + REFUSAL_S
            return [Refuse(model.name, self._shortage(model, room))]
        return []

    def _left_mb(self, room: Room) -> float:
        if room.budget_mb is None:
            return room.free_mb
        held_mb = sum(model.held_mb for model in self._models.values())
        return min(room.free_mb, room.budget_mb - held_mb)

    def _victims(self, short_mb: float, now: float, *, busy: bool) -> list[_Model]:
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
        chosen: list[_Model] = []
        for model in may_leave:
            chosen.append(model)
            short_mb -= model.policy.need_mb
            if short_mb <= 0:
                return _without_needless(chosen, -short_mb)
        return []

    def _could_leave_mb(self) -> float:
        """What will come free sooner or later if it has to."""
        return sum(model.held_mb for model in self._models.values() if not model.policy.stays)

    def _shortage(self, model: _Model, room: Room) -> str:
        holders = ", ".join(
            f"{other.name} ({other.policy.need_mb} MB)"
            for other in self._models.values()
            if other.held_mb and other.policy.stays
        )
        kept = f"; {holders} may not be unloaded" if holders else ""
        left_mb = self._left_mb(room)
        bound = f" within MEMORY_BUDGET_MB={room.budget_mb}" if left_mb < room.free_mb else ""
        return (
            f"model {model.name!r} needs {model.policy.room_mb} MB and "
            f"{max(0, math.floor(left_mb))} MB are free{bound}{kept}"
        )

    def _unload(self, model: _Model, why: str, now: float) -> Unload:
        model.phase, model.since = "leaving", now
        if model.waiting:  # it has had its turn, so whoever it leaves for is before it
            model.waiting_since = now
        return Unload(model.name, why)


def _without_needless(chosen: list[_Model], spare_mb: float) -> list[_Model]:
    """``chosen`` less those without which as much comes free as is needed, the most valuable of
    them first: ``spare_mb`` is what they hold too much."""
    kept = list(chosen)
    for model in reversed(chosen):
        if model.policy.need_mb <= spare_mb:
            kept.remove(model)
            spare_mb -= model.policy.need_mb
    return kept
