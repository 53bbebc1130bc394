"""A user's own engine: it is asked only for what its class says that it does."""

from __future__ import annotations

from typing import Any

from ipc.chat_parameters import TO_BE_DECLARED, refuse_lacking
from ipc.messages.jobs import ChatInput, Job
from worker.engine import Engine


class OwnEngine:
    """``engine``, whose class may name in ``takes`` what of `TO_BE_DECLARED` it does. All else of
    these is refused: it would be skipped in silence otherwise, or break a class that was written
    before there was such a thing."""

    def __init__(self, name: str, engine: Engine) -> None:
        self._name = name
        self._engine = engine
        takes = frozenset(getattr(engine, "takes", ()))
        self._lacks = tuple(one for one in TO_BE_DECLARED if one not in takes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def admit(self, job: Job) -> bool:
        """As `Engine.admit`. Raises `UnsupportedParameter`."""
        if isinstance(job.input, ChatInput):
            refuse_lacking(self._name, self._lacks, job.input)
        return self._engine.admit(job)
