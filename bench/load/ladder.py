"""Levels of load, one after the other. The loop is closed: a client waits for its answer before it
sends the next request, so that a slow server is asked less, as by people and not as by a crowd."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter, process_time

from bench.load.outcome import Level, Outcome

# A client that was refused comes again as SDKs do: after as long as Retry-After says, within
# bounds. Otherwise refusals, which cost the server little, would crowd out the answers.
PAUSE_S = 0.2
MAX_PAUSE_S = 5.0

Ask = Callable[[], Awaitable[Outcome]]
Seen = Callable[[Outcome], object]


@dataclass(frozen=True)
class Limit:
    """When no more is begun; what has been is still answered. At least one of them is set."""

    requests: int | None = None
    seconds: float | None = None

    def of(self, clients: int) -> Limit:
        """The same for so many clients, each of which must have something to ask."""
        return Limit(None if self.requests is None else max(self.requests, clients), self.seconds)


async def hold(ask: Ask, clients: int, limit: Limit, seen: Seen) -> Level:
    """So many clients until ``limit``; each outcome is ``seen`` as it comes."""
    outcomes: list[Outcome] = []
    left = float("inf") if limit.requests is None else limit.requests
    begun_at, cpu_s = perf_counter(), process_time()
    stop_at = begun_at + (float("inf") if limit.seconds is None else limit.seconds)
    ended_at = begun_at

    async def client() -> None:
        nonlocal left, ended_at
        more = True
        while more:
            left -= 1
            outcome = await ask()
            ended_at = perf_counter()
            outcomes.append(outcome)
            seen(outcome)
            if outcome.error and left > 0:
                await asyncio.sleep(min(pause_s(outcome), max(0.0, stop_at - ended_at)))
            more = left > 0 and perf_counter() < stop_at

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return Level(clients, ended_at - begun_at, process_time() - cpu_s, outcomes)


def pause_s(refused: Outcome) -> float:
    """How long a client waits that was refused."""
    return PAUSE_S if refused.retry_after_s is None else min(refused.retry_after_s, MAX_PAUSE_S)
