"""How a process stood when it ended, which nobody can look up afterwards."""

from __future__ import annotations

from typing import Any

from supervisor.fleet.member import Member
from supervisor.lifecycle.happenings import Exited
from supervisor.lifecycle.replica import Replica


def last_state(member: Member, exited: Exited) -> dict[str, Any]:
    """JSON-ready; to be asked for before its replica hears of the exit and its cgroup goes.

    ``cause`` is why it ended: for want of ``memory``, by a ``hang``, or by anything else, which is
    ``crash``. ``in_hand`` is `Replica.in_hand`, ``rss_mb`` is of the last second.
    """
    replica = member.replica
    return {
        "cause": _cause(replica, exited),
        "pid": member.process.pid if member.process else None,
        "loading": replica.state == "starting",
        "in_hand": replica.in_hand,
        "rss_mb": None if member.rss_mb is None else round(member.rss_mb, 1),
        "cgroup": member.cell.account() if member.cell else {},
    }


def _cause(replica: Replica, exited: Exited) -> str:
    if exited.oom:
        return "memory"
    return "hang" if replica.hung == replica.generation else "crash"
