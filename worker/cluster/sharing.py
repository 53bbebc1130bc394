"""How boxes share the replicas of one model: what they tell each other, and what follows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from ipc.messages.control import Shared, Wanted

# A box that wants anything says so again this often; one whose word is so old has gone.
SAID_AGAIN_S = 5.0
GONE_S = 15.0


class Replicas(msgspec.Struct, frozen=True, kw_only=True):
    """Those of a model as the first box sees them: ``count`` should run, ``ready`` do; ``failed``
    is why one of the others will not come."""

    count: int
    ready: int
    failed: str = ""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a box tells the others of a model. ``turn`` grows while it wants anything; the first box
    says how the ``replicas`` stand."""

    wanted: Wanted
    turn: int = 0
    replicas: Replicas | None = None


@dataclass(slots=True)
class Heard:
    """Owns what the other boxes have said last, by their addresses. Times are monotonic seconds."""

    _said: dict[str, tuple[Said, float]] = field(default_factory=dict)
    replicas: Replicas | None = None

    def note(self, said: dict[str, Said], now: float) -> None:
        """This is what stands there of the others by now."""
        before = self._said
        self._said = {
            address: (one, before[address][1] if _is_old(one, before.get(address)) else now)
            for address, one in said.items()
        }
        told = [one.replicas for one in said.values() if one.replicas is not None]
        self.replicas = told[0] if told else self.replicas

    def wanted(self, now: float) -> list[Wanted]:
        """What they want. One that has gone wants nothing; what it has done stays done."""
        return [
            one.wanted if now - since < GONE_S else _done(one.wanted)
            for one, since in self._said.values()
        ]


def shared(
    own: Wanted, others: Sequence[Wanted], replicas: Replicas, credit: int, *, decides: bool
) -> Shared:
    """How the model stands for this box, where each replica takes ``credit`` jobs at once. The most
    that a request waits for anywhere counts."""
    everyone = [own, *others]
    return Shared(
        count=replicas.count,
        ready=replicas.ready,
        failed=replicas.failed,
        room=room(credit, replicas.ready, [one.in_hand for one in others]),
        waiting=sum(one.waiting for one in everyone),
        in_hand=sum(one.in_hand for one in everyone),
        wait_s=max(one.wait_s for one in everyone),
        jobs=sum(one.jobs for one in everyone),
        work=sum(one.work for one in everyone),
        decides=decides,
    )


def room(credit: int, ready: int, in_hand: Sequence[int]) -> int:
    """How many jobs a box may have in hand, of which the others have so many ``in_hand``: what they
    leave, but always an equal part. While no replica is ready the next one is waited for."""
    whole = credit * max(1, ready)
    busy = [one for one in in_hand if one]
    return max(1, whole - sum(busy), whole // (len(busy) + 1))


def _is_old(said: Said, before: tuple[Said, float] | None) -> bool:
    return before is not None and before[0] == said


def _done(wanted: Wanted) -> Wanted:
    return Wanted(jobs=wanted.jobs, work=wanted.work)
