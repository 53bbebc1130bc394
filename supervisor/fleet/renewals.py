"""Workers that are to be replaced by fresh processes, in turns; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from supervisor.fleet.member import Member, may_be_away


class Renewals:
    """Owns which workers are still to be replaced."""

    def __init__(self) -> None:
        self._worn: set[str] = set()

    def add(self, workers: Iterable[Member]) -> None:
        self._worn |= {one.replica.name for one in workers}

    def due(self, group: list[Member]) -> Iterator[Member]:
        """Those of a model's workers whose turn it is; each is named once. Whoever serves nobody
        goes at once."""
        for one in group:
            name, serves = one.replica.name, one.replica.state == "ready"
            if name in self._worn and (not serves or may_be_away(one, group)):
                self._worn.remove(name)
                yield one
                if serves:
                    return
