"""How many loads a trace of requests takes by other rules than ours. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def belady(trace: Sequence[str], size_mb: Mapping[str, float], budget_mb: float) -> int:
    """Loads if it were known who is asked for next: those leave that are needed last. Loads take no
    time there, and nobody is kept for a while, so no rule that does not know the future does
    better."""
    inside: set[str] = set()
    loads = 0
    for at, model in enumerate(trace):
        if model in inside:
            continue
        loads += 1
        while inside and sum(size_mb[one] for one in inside) + size_mb[model] > budget_mb:
            inside.remove(max(inside, key=lambda one: _next_use(trace, at, one)))
        inside.add(model)
    return loads


def _next_use(trace: Sequence[str], at: int, model: str) -> float:
    return next((later for later in range(at + 1, len(trace)) if trace[later] == model), math.inf)


def one_at_a_time(trace: Sequence[str]) -> int:
    """Loads by llama-swap's rule where no groups are set: a request for another model ends the one
    that runs, once that has finished, and starts its own."""
    return sum(model != before for before, model in zip(["", *trace], trace, strict=False))
