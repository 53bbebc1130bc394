"""The children of one supervisor: the frontend and the workers, each with its state machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ipc.messages.control import child_id
from ipc.messages.spec import Spec
from supervisor.children.cgroup import Cell
from supervisor.children.vram import Vram
from supervisor.effects import Child, Effects
from supervisor.lifecycle.happenings import Happening
from supervisor.lifecycle.recycle import Limits
from supervisor.lifecycle.replica import Replica
from supervisor.lifecycle.restarts import Patience

FRONTEND = "frontend"
# The frontend has no engine that could stall; only silence tells that it hangs.
FRONTEND_STALL_S = 60.0
# Nothing is gained by an end of the server: the models are loaded, and whatever kills the frontend,
# perhaps what a client sends, would kill the next server's.
FRONTEND_PATIENCE = Patience(backoff_max_s=30.0, healthy_s=60.0, endless=True)


@dataclass(slots=True)
class Member:
    """One child: its state machine, its process while there is one, its model if it is a worker.

    One that is ``held`` is given no requests: it is on its way in beside others, whom it leaves the
    processors, or kept for a while after others have taken its place. One that passes jobs on to a
    cluster may have as many in hand as there is ``room`` for beside those of other boxes.
    """

    replica: Replica
    spec: Spec | None = None
    process: Child | None = field(default=None, repr=False)
    work_done: float | None = 0.0  # when it was last looked at, see Child.work_done
    rss_mb: float | None = None  # its memory when it was last measured, in the last second or so
    vram: Vram | None = field(default=None, repr=False)
    cell: Cell | None = field(default=None, repr=False)
    held: bool = False
    room: int | None = None

    @property
    def child(self) -> str:
        """By what its present generation is known to others."""
        return child_id(self.replica.name, self.replica.generation)


# Tells what has happened to a child.
Happen = Callable[[Member, Happening], None]


def frontend(effects: Effects) -> Member:
    """The one child that serves clients."""
    replica = Replica(
        FRONTEND,
        FRONTEND_STALL_S,
        FRONTEND_STALL_S,
        patience=FRONTEND_PATIENCE,
        jitter=effects.jitter,
    )
    return Member(replica)


def worker(name: str, spec: Spec, drain_s: float, effects: Effects) -> Member:
    """One replica of a model. ``drain_s``: how long jobs in hand may take if it is recycled."""
    limits = Limits(spec.memory_limit_mb, spec.recycle_jobs, drain_s)
    replica = Replica(name, spec.stall_s, spec.load_stall_s, limits, jitter=effects.jitter)
    vram = Vram(spec.device, effects.holds_vram) if spec.device.startswith("cuda") else None
    return Member(replica, spec, vram=vram)


def may_be_away(member: Member, group: list[Member]) -> bool:
    """Whether the model can do without ``member`` for a while as well as it ever will: replicas
    are recycled in turns."""
    return all(one is member or one.replica.state == "ready" for one in group)


def by_model(everyone: Iterable[Member]) -> dict[str, list[Member]]:
    """The workers, grouped by the model they serve."""
    groups: dict[str, list[Member]] = {}
    for member in everyone:
        if member.spec is not None:
            groups.setdefault(member.spec.name, []).append(member)
    return groups
