"""Whatever happens to models, the budget holds and everybody is answered: histories by chance.

python -P -m tests.unit.supervisor.residency.test_any_history 10000
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace

import pytest

from ipc.messages.control import ModelDemand
from ipc.messages.errors import Conflict, InsufficientMemory
from supervisor.residency.decisions import Decision, Leaked, Load, Refuse, Residency, Unload
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
    models crash, are pinned, wished for, unloaded, changed, removed and added again."""

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
        self.in_since = dict.fromkeys(NAMES, 0.0)
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
                self.waiting[name].append(now)
                self.jobs[name] += 1
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

    def _crash(self, name: str, now: float) -> None:
        if self.phase[name] == "in":
            self.phase[name], self.until[name] = "failed", now + 1.0
            self.in_hand[name] = []

    def _wish(self, name: str, now: float) -> None:
        try:
            keep_s = self.chance.choice([None, 0.0, 10.0])
            self.residency.load(name, keep_s, lambda _: Room(10_000, self.budget_mb), now)
        except (Conflict, InsufficientMemory):
            pass

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

    def _run(self, name: str, now: float) -> None:
        self.in_hand[name] = [end for end in self.in_hand[name] if end > now]
        phase, is_due = self.phase[name], now >= self.until[name]
        if phase == "loading" and is_due:
            self.phase[name] = "in" if self.chance.random() < 0.9 else "failed"
            self.until[name], self.in_since[name] = now + 5.0, now
        elif phase == "failed" and is_due:
            self.phase[name], self.until[name] = "loading", now + 2.0
        elif phase == "leaving" and not self.in_hand[name]:
            self.phase[name] = "out"
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
        else:
            assert now - self.in_since[model] >= RESIDENCE_S

    def _leave(self, model: str) -> None:
        self.phase[model] = "leaving"

    def held_mb(self) -> int:
        return sum(self.policies[name].need_mb for name, at in self.phase.items() if at in _HELD)


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
