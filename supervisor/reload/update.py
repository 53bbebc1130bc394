"""One model on its way from one spec to another; pure.

    beside --all ready--> watched --watch_s--> done
       |                     |
       +--one fails          +--worse, or somebody wishes it: back to the others

Until the switch the fresh workers take no request: ready means that they have warmed up. After it
the others stay loaded for ``watch_s``, so that going back is one change of the routes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from ipc.messages.spec import Spec
from supervisor.fleet.member import Member
from supervisor.reload.verdict import Record, worse


class Step(Enum):
    """What becomes of an update now."""

    WAIT = auto()
    SWITCH = auto()
    DONE = auto()
    BACK = auto()


@dataclass(slots=True)
class Update:
    """``fresh`` are the workers of ``new``; ``others`` those that served before, which is nobody
    where the new ones take their place. ``back`` is why it is to be undone, once somebody knows."""

    old: Spec
    new: Spec
    fresh: list[Member]
    others: list[Member]
    switched_at: float | None = None
    back: str = ""
    _before: Record = field(default_factory=Record)
    _switched_to: dict[str, int] = field(default_factory=dict)  # their generations at the switch

    @property
    def keeps_others(self) -> bool:
        """Whether somebody could serve as before at once."""
        return self.switched_at is not None and any(_is_ready(one) for one in self.others)

    @property
    def may_go_back(self) -> bool:
        """Whether it can be undone: others serve meanwhile, or still could."""
        return self.keeps_others or (self.switched_at is None and bool(self.others))

    def report(self, now: float, watch_s: float) -> dict[str, Any]:
        """How far it is, for operators: ``state`` is ``loading`` or ``watched``; in ``done_in_s``
        it is done if nothing happens, None before the switch."""
        switched = self.switched_at is not None
        return {
            "state": "watched" if switched else "loading",
            "stage": None if switched else self._stage(),
            "may_go_back": self.may_go_back,
            "done_in_s": round(max(0.0, self.switched_at + watch_s - now), 1)
            if self.switched_at is not None
            else None,
        }

    def _stage(self) -> str | None:
        """What the first of the fresh workers that is not ready does now."""
        awaited = (one.replica for one in self.fresh if not _is_ready(one))
        return next((one.stage or None for one in awaited), None)

    def step(self, now: float, watch_s: float) -> Step:
        """What is to be done; `on_switch` tells that a switch has been."""
        if self.switched_at is None:
            return self._beside()
        self.others = [one for one in self.others if _is_ready(one)]
        if not self.back and (why := self._complaint()):
            self.back = why
        if self.back:
            return Step.BACK
        late = now - self.switched_at >= watch_s
        return Step.DONE if late else Step.WAIT

    def on_switch(self, now: float) -> None:
        self._before = Record.of(one.replica.counters for one in self.others)
        self._switched_to = {one.replica.name: one.replica.generation for one in self.fresh}
        self.switched_at = now

    def _beside(self) -> Step:
        self.back = self.back or _failure(self.fresh)
        if self.back:
            return Step.BACK
        return Step.SWITCH if all(_is_ready(one) for one in self.fresh) else Step.WAIT

    def _complaint(self) -> str:
        # Also one that somebody has killed: the others are loaded, and the next would have to be.
        for one in self.fresh:
            if one.replica.crashed >= self._switched_to[one.replica.name]:
                return one.replica.last_exit or "it crashed"
        done = Record.of(one.replica.counters for one in self.fresh)
        return worse(self._before, done) or ""


def _failure(workers: Iterable[Member]) -> str:
    """Why one of them will not come; empty where all may."""
    failed = [one.replica for one in workers if one.replica.state == "failed"]
    return (failed[0].last_exit or failed[0].reason or "it failed") if failed else ""


def _is_ready(worker: Member) -> bool:
    return worker.replica.state == "ready"
