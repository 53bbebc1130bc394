"""What each process has said last."""

from __future__ import annotations

from ipc.messages.errors import NotFound
from ipc.runtime.recent_lines import Lines, RecentLines

# Workers that have ended for good are among them; the oldest make room for new ones.
MOST = 64


class ProcessLogs:
    """Owns the lines of this process, called ``name``, and those of its children, which each
    generation of a child goes on with."""

    def __init__(self, name: str, own: RecentLines) -> None:
        self._name = name
        self._own = own
        self._children: dict[str, RecentLines] = {}

    def of(self, child: str) -> RecentLines:
        """Where the lines of this child are to be kept."""
        kept = self._children.pop(child, None) or RecentLines()
        self._children[child] = kept  # the newest is the last
        while len(self._children) > MOST:
            del self._children[next(iter(self._children))]
        return kept

    def tail(self, process: str, count: int, after: int) -> Lines:
        """See `RecentLines.tail`. Raises `NotFound`."""
        if process == self._name:
            return self._own.tail(count, after)
        if process not in self._children:
            known = ", ".join([self._name, "frontend", *sorted({*self._children} - {"frontend"})])
            raise NotFound(f"there is no such process; there are {known}", param="process")
        return self._children[process].tail(count, after)
