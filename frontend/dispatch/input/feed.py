"""The input of one job in pieces, and how much of it may be on its way. Pure.

What a worker has not used is kept, so that a job which was given back can be sent once more as a
whole. Once a piece has been used that cannot be: the job then has the one end that it gets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal

from ipc.messages.blob import Blob
from ipc.messages.jobs import INPUT_CREDIT_BYTES, More, SpeechInput

Said = Literal["commit", "clear"] | SpeechInput | None


class InputFeed:
    """Holds the pieces that the worker has not used: never more than the credit, and one."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._held: deque[More] = deque()
        self._held_bytes = 0
        self._next = 0
        self._used = 0
        self.is_complete = False

    @property
    def has_room(self) -> bool:
        """Whether another piece may be added."""
        return self._held_bytes < INPUT_CREDIT_BYTES

    @property
    def is_whole(self) -> bool:
        """Whether all that has been added is still here, so that another worker may begin."""
        return self._used == 0

    @property
    def held(self) -> Sequence[More]:
        """What a worker that gets the job now has to be sent behind it."""
        return tuple(self._held)

    def add(self, data: bytes, said: Said = None, *, last: bool = False) -> More:
        """The next piece."""
        assert self.has_room, "whoever adds waits for room"
        assert not self.is_complete, "nothing follows the last piece"
        more = More(job=self._job_id, number=self._next, data=Blob(data), last=last, said=said)
        self._next += 1
        self.is_complete = last
        self._held.append(more)
        self._held_bytes += more.cost_bytes
        return more

    def use(self, pieces: int) -> None:
        """The worker has used so many of them, from the first one on."""
        while self._held and self._held[0].number < pieces:
            self._held_bytes -= self._held.popleft().cost_bytes
            self._used += 1
