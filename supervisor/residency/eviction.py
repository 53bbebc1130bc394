"""Who leaves so that another has room: workers over what a model has at least before models, then
the fewest models, and of least value. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from supervisor.residency.resident import Resident


@dataclass(frozen=True, slots=True)
class Found:
    """The models that give workers which they have over their least, and how many; those that
    leave."""

    spares: list[tuple[Resident, int]]
    victims: list[Resident]


def room_among(
    residents: Sequence[Resident], short_mb: float, now: float, *, late: bool
) -> Found | None:
    """Who gives so much memory; None where all that may leave do not hold it. ``late``: whoever
    they give it to has waited for long."""
    spares = _spares(residents, short_mb, now)
    left_mb = short_mb - sum(workers * one.extra_mb for one, workers in spares)
    if left_mb <= 0:
        return Found(spares, [])
    leaving = victims(residents, left_mb, now, late=False)
    if not leaving and late:
        leaving = victims(residents, left_mb, now, late=True)
    return Found(spares, leaving) if leaving else None


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


def _spares(
    residents: Iterable[Resident], short_mb: float, now: float
) -> list[tuple[Resident, int]]:
    """Until so much comes free or nobody has more: models of low priority first, of these the least
    valuable."""
    found = []
    giving = (one for one in residents if one.extras and one.extra_mb)
    for one in sorted(giving, key=lambda one: (one.policy.priority, one.value(now))):
        if short_mb <= 0:
            break
        workers = min(one.extras, math.ceil(short_mb / one.extra_mb))
        short_mb -= workers * one.extra_mb
        found.append((one, workers))
    return found


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
