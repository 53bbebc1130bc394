"""The live sessions that are open, of all faces: each may take a place of its model's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from ipc.messages.errors import QueueFull
from ipc.messages.keys import ApiKey
from ipc.messages.spec import Spec

# Why a session is ended: the server stops, or its key is not what it was.
Ending = Literal["stopping", "key_changed"]
End = Callable[[Ending], None]


class LiveSessions:
    """Counts them by model, and ends them when the server stops, or their key goes."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._ends: dict[int, tuple[End, str | None]] = {}  # of each, and its key
        self._keys: Mapping[str, ApiKey] = {}
        self._number = 0

    @contextmanager
    def place(self, spec: Spec) -> Iterator[None]:
        """A place for one session with this model. Raises `QueueFull` where each slot of its is
        taken by one."""
        if self._count[spec.name] >= spec.slots:
            raise QueueFull(
                f"model {spec.name!r} has {spec.slots} live sessions, as many as slots; end one, "
                "or raise its `slots`",
                retry_after_s=5.0,
            )
        self._count[spec.name] += 1
        try:
            yield
        finally:
            self._count[spec.name] -= 1

    @contextmanager
    def ended_by(self, end: End, key: str | None = None) -> Iterator[None]:
        """``end`` is called when the server stops or ``key`` changes, if that comes first."""
        self._number += 1
        number = self._number
        self._ends[number] = end, key
        try:
            yield
        finally:
            del self._ends[number]

    def end(self) -> None:
        """The server stops."""
        for end, _ in list(self._ends.values()):
            end("stopping")

    def know(self, keys: Mapping[str, ApiKey]) -> None:
        """These are the keys from now on: a session by one that is gone, has another secret or may
        have other models is ended."""
        for end, name in list(self._ends.values()):
            if name is not None and _rights(self._keys, name) != _rights(keys, name):
                end("key_changed")
        self._keys = keys


def _rights(keys: Mapping[str, ApiKey], name: str) -> tuple[object, ...] | None:
    key = keys.get(name)
    return None if key is None else (key.digest, key.limits.models)
