"""The workers of all models, by their names and by their models."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ipc.messages.spec import Spec
from supervisor.fleet.member import Member

MakeWorker = Callable[[str, Spec], Member]


class Roster:
    """Owns the workers from when they are made until they have ended for good.

    ``make`` makes a worker that has that name, which no other has ever had.
    """

    def __init__(self, make: MakeWorker) -> None:
        self._make = make
        self._workers: dict[str, Member] = {}
        self._of_model: dict[str, dict[str, Member]] = {}  # the same, by their model
        self._counts: dict[str, int] = {}  # how many workers each task has ever had
        self._retired: set[str] = set()  # the workers that are to end

    @property
    def everyone(self) -> list[Member]:
        return list(self._workers.values())

    def get(self, name: str) -> Member | None:
        return self._workers.get(name)

    def named(self, names: Iterable[str]) -> list[Member]:
        """Those of these names that there still are, in this order."""
        return [self._workers[name] for name in names if name in self._workers]

    def group(self, model: str) -> list[Member]:
        """All workers of one model."""
        return list(self._of_model.get(model, {}).values())

    def staying(self, group: Iterable[Member]) -> list[Member]:
        """Those of ``group`` that are not to end."""
        return [one for one in group if one.replica.name not in self._retired]

    def add(self, spec: Spec) -> Member:
        """One more worker, which has not been started."""
        count = self._counts[spec.task] = self._counts.get(spec.task, 0) + 1
        name = f"{spec.task}-{count}"
        worker = self._workers[name] = self._make(name, spec)
        self._of_model.setdefault(spec.name, {})[name] = worker
        return worker

    def retire(self, workers: Iterable[Member]) -> None:
        """These are told to end, and forgotten once they have."""
        self._retired |= {one.replica.name for one in workers}

    def forget(self) -> None:
        """Drop those that have ended for good."""
        ended = [name for name in self._retired if self._workers[name].replica.state == "stopped"]
        for name in ended:
            self._retired.remove(name)
            self._drop(name)

    def _drop(self, name: str) -> None:
        worker = self._workers.pop(name)
        assert worker.spec is not None
        group = self._of_model[worker.spec.name]
        del group[name]
        if not group:
            del self._of_model[worker.spec.name]
