"""What a dead process leaves behind: why it died, what it had started, the cgroup it was in.

Everything that the modules `orphans`, `oom` and `cgroup` of `supervisor.children` know, as the
supervision loop needs it.
"""

from __future__ import annotations

import signal
from collections.abc import Collection

from supervisor.children.cgroup import Cell, Tree
from supervisor.children.oom import OomWatch
from supervisor.children.orphans import Orphans
from supervisor.children.process import Exit
from supervisor.fleet.member import Member
from supervisor.lifecycle.happenings import Exited


class Cleanup:
    """Clears away after every process. ``own`` are the pids of those that live."""

    def __init__(self, orphans: Orphans, oom: OomWatch, tree: Tree | None) -> None:
        self._orphans = orphans
        self._oom = oom
        self._tree = tree
        self._ended: list[Cell] = []  # not empty yet

    def enclose(self, member: Member, name: str) -> None:
        """Give a worker that was just started a cgroup of its own, where that can be."""
        if self._tree is not None and member.process is not None:
            member.cell = self._tree.cell(name, member.process.pid)

    def limit(self, member: Member) -> None:
        """The worker is ready, so what it may take is known: less would end it while it loads."""
        limit_mb = member.replica.hard_limit_mb
        if member.cell is not None and limit_mb is not None:
            member.cell.limit(limit_mb)

    def look(self, now: float) -> None:
        """To be called each second."""
        self._oom.look(now)

    def exited(self, member: Member, end: Exit, now: float) -> Exited:
        """Who ended it: itself, the kernel for memory, or somebody by a signal."""
        if member.cell is not None:
            oom = member.cell.oom_kills() > 0
        else:
            oom = end.by is signal.SIGKILL and self._oom.just_killed(now)
        if not oom:
            return Exited(end.reason, outside=end.by is not None)
        # Short of the box's memory, the kernel takes whoever has most; at a limit of its own, the
        # worker has taken it all by itself.
        at_own_limit = member.cell is not None and member.cell.came_to_limit()
        reason = f"{end.reason}: the kernel had no memory for it"
        return Exited(reason, oom=True, outside=not at_own_limit)

    def clear(self, member: Member, own: Collection[int]) -> None:
        """Nothing that a dead process has started may go on."""
        self._orphans.sweep(own)
        if member.cell is not None and not member.cell.end():
            self._ended.append(member.cell)
        member.cell = None

    def tick(self, own: Collection[int]) -> None:
        """Time has passed: finish what `clear` began."""
        self._orphans.tick(own)
        self._ended = [cell for cell in self._ended if not cell.end()]

    async def end(self) -> None:
        """Nobody lives any more."""
        await self._orphans.end()
        self.tick(())
