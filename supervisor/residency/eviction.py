"""Who leaves so that another has room: the fewest, and of least value. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.residency.resident import Resident


def victims(
    residents: Iterable[Resident], short_mb: float, now: float, *, late: bool
) -> list[Resident]:
    """The models that together hold so much, none of them of a higher priority than must be; empty
    where all that may leave do not. ``late``: whoever they leave for has waited for long."""
    may_leave = [one for one in residents if one.may_leave(now, late=late)]
    for priority in sorted({one.policy.priority for one in may_leave}):
        among = [one for one in may_leave if one.policy.priority <= priority]
        if chosen := _fewest(among, short_mb, now):
            return chosen
    return []


def _fewest(may_leave: list[Resident], short_mb: float, now: float) -> list[Resident]:
    may_leave.sort(key=lambda one: (one.busy, one.value(now), one.idle_since))
    for one in may_leave:
        if one.policy.need_mb >= short_mb:
            return [one]  # one is fewer than several, whatever they are worth
    chosen: list[Resident] = []
    for one in may_leave:
        chosen.append(one)
        short_mb -= one.policy.need_mb
        if short_mb <= 0:
            return _without_needless(chosen, -short_mb)
    return []


def _without_needless(chosen: list[Resident], spare_mb: float) -> list[Resident]:
    """``chosen`` less those without which as much comes free as is needed, the most valuable of
    them first: ``spare_mb`` is what they hold too much."""
    kept = list(chosen)
    for one in reversed(chosen):
        if one.policy.need_mb <= spare_mb:
            kept.remove(one)
            spare_mb -= one.policy.need_mb
    return kept
