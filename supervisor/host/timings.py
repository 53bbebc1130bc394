"""Which engine was measured to be the fastest with a model on this box. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from ipc.facts.pace import Pace

# The request that engines are compared by: a question with its context, and an answer.
PROMPT_TOKENS, ANSWER_TOKENS = 512, 256


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a measurement is true of: a CPU with its threads, and the versions of libraries."""

    engine: str
    cpu: str
    libraries: dict[str, str]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured with so many ``slots``; without a ``pace``, ``fault`` says why."""

    subject: Subject
    slots: int
    pace: Pace | None = None
    fault: str = ""


class Fastest(NamedTuple):
    engine: str
    why: str


def trusted(timings: Iterable[Timing], here: Mapping[str, Subject]) -> tuple[Timing, ...]:
    """Those of this box as it is: ``here`` has the subject by engine. If one is not, none is: what
    was not measured together is not compared."""
    found = {one.subject.engine: one for one in timings}
    if set(found) != set(here) or any(found[name].subject != here[name] for name in here):
        return ()
    return tuple(found.values())


def fastest(timings: Sequence[Timing], slots: int) -> Fastest | None:
    """The engine that answers the usual request soonest; None where fewer than two were measured,
    and it stays with the rule.

    Alone and with all slots taken count alike, by the geometric mean of the two times. A model of
    one slot is always alone.
    """
    paces = {one.subject.engine: one.pace for one in timings if one.pace is not None}
    if not paces or len(timings) < 2:
        return None
    best = min(paces, key=lambda name: _usual_s(paces[name], slots))
    told = [f"{name} {_told(pace, slots)}" for name, pace in paces.items()]
    told += [f"{one.subject.engine} {one.fault}" for one in timings if one.pace is None]
    return Fastest(best, f"measured here, tokens/s: {'; '.join(told)}")


def _usual_s(pace: Pace, slots: int) -> float:
    read_s = PROMPT_TOKENS / pace.prompt_per_s
    alone_s = read_s + ANSWER_TOKENS / pace.alone_per_s
    if slots == 1:
        return alone_s
    return math.sqrt(alone_s * (read_s + ANSWER_TOKENS / pace.full_per_s))


def _told(pace: Pace, slots: int) -> str:
    many = "" if slots == 1 else f", {pace.full_per_s:.3g} with all slots"
    return f"{pace.alone_per_s:.3g} alone{many}, prompts {pace.prompt_per_s:.3g}"
