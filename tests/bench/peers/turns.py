"""All sides asked in turn, round by round, on inputs that nobody has seen."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from time import perf_counter
from typing import Generic, Protocol, TypeVar

from tests.bench.models import Say
from tests.bench.peers.results import Measured, Results
from tests.bench.peers.sides import OURS

# A side that needed so long for its turn is not asked for the rows that follow.
TOO_SLOW_S = 60.0


class Named(Protocol):
    @property
    def name(self) -> str: ...


Asked = TypeVar("Asked", bound=Named)
Given = TypeVar("Given")
Answer = TypeVar("Answer")
Item = TypeVar("Item")


class Turns(Generic[Asked]):
    """Who fails or is too slow is left out from there on, which is said; edge-serve never is, and
    what goes wrong with it is raised."""

    def __init__(self, sides: Sequence[Asked], rounds: int, results: Results, say: Say) -> None:
        self.sides = list(sides)
        self._rounds = rounds
        self._results = results
        self._say = say
        self._number = random.randrange(len(self.sides))  # who begins
        self._slow = set[str]()

    async def warm(
        self,
        given: Given,
        ask: Callable[[Asked, Given], Awaitable[object]],
        without: Collection[str] = (),
    ) -> None:
        """Ask each once, off the record."""
        for side in list(self.sides):
            if side.name not in without:
                self._say(f"{side.name}: warming up")
                await self._try(side, given, ask)

    async def row(
        self,
        x: str,
        take: Callable[[], Given],
        ask: Callable[[Asked, Given], Awaitable[Measured]],
        without: Collection[str] = (),
    ) -> None:
        """All rounds of the row ``x``, recorded one by one; each takes its inputs for all sides."""
        for number in range(self._rounds):
            label = f"{x}, round {number + 1} of {self._rounds}"
            self._results.add(x, await self._round(label, take(), ask, without))
        self._leave_out_slow()

    async def _round(
        self,
        label: str,
        given: Given,
        ask: Callable[[Asked, Given], Awaitable[Measured]],
        without: Collection[str],
    ) -> dict[str, Measured]:
        measured: dict[str, Measured] = {}
        for side in in_turn(self.sides, self._number):
            if side.name in without:
                continue
            self._say(f"{label}: {side.name}")
            began_at = perf_counter()
            one = await self._try(side, given, ask)
            if one is not None:
                measured[side.name] = one
            if perf_counter() - began_at > TOO_SLOW_S:
                self._slow.add(side.name)
        self._number += 1
        return {side.name: measured[side.name] for side in self.sides if side.name in measured}

    def _leave_out_slow(self) -> None:
        slow = [side for side in self.sides if side.name in self._slow and side.name != OURS]
        for side in slow:
            self._say(f"{side.name} took more than {TOO_SLOW_S:.0f} s, and is left out from here")
            self.sides.remove(side)

    async def _try(
        self, side: Asked, given: Given, ask: Callable[[Asked, Given], Awaitable[Answer]]
    ) -> Answer | None:
        try:
            return await ask(side, given)
        except (ConnectionError, RuntimeError, TimeoutError) as error:
            if side.name == OURS:
                raise
            reason = str(error) or type(error).__name__
            self._say(f"{side.name} failed, and is left out from here: {reason}")
            self.sides.remove(side)
            return None


def in_turn(sides: Sequence[Item], number: int) -> list[Item]:
    """All sides, beginning with another in each round, so that nobody always follows the same."""
    start = number % len(sides)
    return [*sides[start:], *sides[:start]]
