"""Whatever happens to models, the budget holds and everybody is answered: histories by chance.

python -P -m tests.unit.supervisor.residency.test_any_history 10000
"""

from __future__ import annotations

import math
import random
import sys
import time
from dataclasses import replace

import pytest

from ipc.messages.control import ModelDemand
from ipc.messages.errors import Conflict, InsufficientMemory
from supervisor.residency.decisions import (
    Decision,
    Leaked,
    Load,
    Refuse,
    Residency,
    Spare,
    Unload,
)
from supervisor.residency.policy import Phase, Policy
from supervisor.residency.resident import RESIDENCE_S
from supervisor.residency.room import Room

NAMES = "abcdef"
STEP_S = 1.0
STEPS = 90
LIMIT = 2000  # steps after which whoever still waits waits for ever
IN_THE_SUITE = 600
_HELD: tuple[Phase, ...] = ("loading", "in", "leaving")


class World:
    """Models with clients and an operator: requests come and leave, loads take time and fail,
    models crash, are pinned, wished for, unloaded, changed, removed and added again, and get more
    workers where there is room."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.budget_mb = self.chance.choice([500, 700, 1000])
        self.residency = Residency()
        self.policies = {name: self._policy() for name in NAMES}
        self.residency.set_policies(self.policies, 0.0)
        self.phase: dict[str, Phase] = dict.fromkeys(NAMES, "out")
        self.until = dict.fromkeys(NAMES, 0.0)
        self.waiting: dict[str, list[float]] = {name: [] for name in NAMES}
        self.in_hand: dict[str, list[float]] = {name: [] for name in NAMES}
        self.jobs = dict.fromkeys(NAMES, 0)
        self.worked_at = dict.fromkeys(NAMES, -math.inf)  # when its last job ended
        self.keep_s: dict[str, float | None] = dict.fromkeys(NAMES)  # what an operator has said
        self.in_since = dict.fromkeys(NAMES, 0.0)
        self.extras = dict.fromkeys(NAMES, 0)
        self.extras_until: dict[str, list[float]] = {name: [] for name in NAMES}  # who finish work
        self.pinned: set[str] = set()
        self.forced: set[str] = set()

    def _policy(self) -> Policy:
        return Policy(
            always=False,
            idle_s=self.chance.choice([0.0, 20.0, 60.0]),
            priority=self.chance.choice([0, 0, 1]),
            need_mb=self.chance.choice([100, 200, 300, 500]),
            measured=True,
        )

    def turn(self, now: float, *, busy: bool) -> None:
        """A step of all of it; ``busy``: somebody still asks, and something still happens."""
        if busy:
            self._happen(now)
        for name in NAMES:
            self._run(name, now)
            self._tell(name, now)
        for decision in self.residency.decide(lambda _: Room(10_000, self.budget_mb), now):
            self._do(decision, now)

    def _happen(self, now: float) -> None:
        name = self.chance.choice("aaabbcdef")
        match self.chance.randrange(24):
            case 0 | 1 | 2 | 3 | 4 | 5 | 6:
                self._ask(name, now)
            case 7 if self.waiting[name]:  # a client leaves
                self.waiting[name].pop()
            case 8:
                self._crash(name, now)
            case 9:
                self._wish(name, now)
            case 10:
                self._unload(name, now, force=self.chance.random() < 0.5)
            case 11:
                self.pin(name, now)
            case 12:
                self._reload(name, now)
            case 13 if self.phase[name] == "loading":
                self._lack(name, now)
            case 14 | 15 | 16 if self.phase[name] == "in":
                self._scale(name, now)

    def _ask(self, name: str, now: float) -> None:
        """A request; of one that is answered before anybody looks only the count tells."""
        self.jobs[name] += 1
        free = self.phase[name] == "in" and not self.waiting[name]
        if free and self.chance.random() < 0.5:
            self.worked_at[name] = now
        else:
            self.waiting[name].append(now)

    def _scale(self, name: str, now: float) -> None:
        """One more worker where there is room, or none over the least any more."""
        if self.chance.random() < 0.3:
            self._spare(name, self.extras[name], now)
        self._tell(name, now)
        needs_mb = self.policies[name].need_mb
        look = Room(10_000, self.budget_mb)
        if not self.residency.lacks_for_another(name, needs_mb, lambda _: look):
            assert self.held_mb() + needs_mb <= self.budget_mb
            self.extras[name] += 1

    def _spare(self, name: str, workers: int, now: float) -> None:
        """So many of its workers finish what they have in hand, and end."""
        assert workers <= self.extras[name]
        self.extras[name] -= workers
        self.extras_until[name] += [now + self.chance.uniform(0.0, 8.0) for _ in range(workers)]

    def _crash(self, name: str, now: float) -> None:
        if self.phase[name] == "in":
            self.phase[name], self.until[name] = "failed", now + 1.0
            self.in_hand[name] = []

    def _wish(self, name: str, now: float) -> None:
        try:
            keep_s = self.chance.choice([None, 0.0, 10.0])
            self.residency.load(name, keep_s, lambda _: Room(10_000, self.budget_mb), now)
        except (Conflict, InsufficientMemory):
            return
        if keep_s is not None:
            self.keep_s[name] = keep_s

    def _unload(self, name: str, now: float, *, force: bool) -> None:
        self._tell(name, now)
        busy = bool(self.waiting[name] or self.in_hand[name])
        try:
            decided = self.residency.unload(name, now, force=force)
        except Conflict:
            assert busy
            assert not force
            return
        assert force or not busy, "one with work is unloaded by force only"
        for one in decided:
            assert isinstance(one, Unload)
            self._leave(one.model)

    def pin(self, name: str, now: float) -> None:
        self._tell(name, now)
        self.pinned ^= {name}
        self.residency.pin(name, name in self.pinned)

    def _reload(self, name: str, now: float) -> None:
        """Its entry is another one, in what needs no other worker."""
        self.policies[name] = replace(self.policies[name], idle_s=self.chance.choice([0.0, 20.0]))
        self.residency.set_policies(self.policies, now)

    def _lack(self, name: str, now: float) -> None:
        for one in self.residency.on_lacked_memory(name, self.policies[name].need_mb, now):
            if isinstance(one, Unload):
                self._leave(one.model)
            else:
                self._do(one, now)

    def _tell(self, name: str, now: float) -> None:
        waiting, in_hand = len(self.waiting[name]), len(self.in_hand[name])
        demand = ModelDemand(name=name, waiting=waiting, in_hand=in_hand, jobs=self.jobs[name])
        self.residency.on_demand(demand, now)
        self.residency.on_phase(name, self.phase[name], now)
        needs_mb = self.policies[name].need_mb
        self.residency.on_extras(name, self.extras[name], needs_mb)
        leaving_mb = len(self.extras_until[name]) * needs_mb
        self.residency.on_beside(name, leaving_mb, leaving_mb)

    def _run(self, name: str, now: float) -> None:
        ended = [end for end in self.in_hand[name] if end <= now]
        self.worked_at[name] = max([self.worked_at[name], *ended])
        self.in_hand[name] = [end for end in self.in_hand[name] if end > now]
        self.extras_until[name] = [end for end in self.extras_until[name] if end > now]
        if self.phase[name] not in ("in", "failed"):
            self._spare(name, self.extras[name], now)
        phase, is_due = self.phase[name], now >= self.until[name]
        if phase == "loading" and is_due:
            self.phase[name] = "in" if self.chance.random() < 0.9 else "failed"
            self.until[name], self.in_since[name] = now + 5.0, now
        elif phase == "failed" and is_due:
            self.phase[name], self.until[name] = "loading", now + 2.0
        elif phase == "leaving" and not self.in_hand[name]:
            self.phase[name], self.keep_s[name] = "out", None
        while self.phase[name] == "in" and self.waiting[name] and len(self.in_hand[name]) < 2:
            self.waiting[name].pop(0)
            self.in_hand[name].append(now + self.chance.uniform(0.5, 8.0))

    def _do(self, decision: Decision, now: float) -> None:
        match decision:
            case Load(model):
                assert self.phase[model] == "out", "it is loaded once"
                assert self.held_mb() + self.policies[model].need_mb <= self.budget_mb
                self.phase[model] = "loading"
                self.until[model] = now + self.chance.uniform(1.0, 6.0)
            case Unload(model, _, whom, _):
                self._check_victim(model, whom, now)
                self._leave(model)
            case Spare(model, workers, _):
                self._spare(model, workers, now)
            case Refuse(model, _, _):
                self.waiting[model].clear()  # each of them is told why
            case Leaked():
                raise AssertionError("the system's own memory is back at once")

    def _check_victim(self, model: str, whom: str | None, now: float) -> None:
        assert self.phase[model] == "in", "who loads or leaves is no victim"
        assert model not in self.pinned
        if whom is None:
            assert not self.waiting[model], "who has work is not idle"
            assert not self.in_hand[model], "who has work is not idle"
            assert now - self.worked_at[model] >= self._idle_s(model), "it had work a moment ago"
        else:
            assert now - self.in_since[model] >= RESIDENCE_S

    def _idle_s(self, model: str) -> float:
        kept_s = self.keep_s[model]
        return kept_s if kept_s is not None else self.policies[model].idle_s

    def _leave(self, model: str) -> None:
        self.phase[model] = "leaving"

    def held_mb(self) -> int:
        workers = {
            name: (at in _HELD) + self.extras[name] + len(self.extras_until[name])
            for name, at in self.phase.items()
        }
        return sum(self.policies[name].need_mb * count for name, count in workers.items())


def play(seed: int) -> None:
    """Fails where somebody waits for ever, or a rule of `World` is broken."""
    world = World(seed)
    for step in range(STEPS):
        world.turn(step * STEP_S, busy=True)
    for name in list(world.pinned):
        world.pin(name, STEPS * STEP_S)
    step = STEPS
    while any(world.waiting.values()) and step < LIMIT:
        world.turn(step * STEP_S, busy=False)
        step += 1
    assert not any(world.waiting.values()), f"somebody waits for ever in history {seed}"


@pytest.mark.parametrize("part", range(3))
def test_whatever_happens_the_budget_holds_and_everybody_is_answered(part: int) -> None:
    for seed in range(part * IN_THE_SUITE // 3, (part + 1) * IN_THE_SUITE // 3):
        play(seed)


if __name__ == "__main__":
    count, began_at = int(sys.argv[1]), time.monotonic()
    for number in range(count):
        play(number)
    print(f"{count} histories in {time.monotonic() - began_at:.0f} s")
