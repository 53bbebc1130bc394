"""Whether a process hangs: it says nothing, or nothing comes of what it does."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ipc.messages.control import HEARTBEAT_S, HEARTBEATS_MISSED
from ipc.messages.state import ReplicaState

SILENCE_S = HEARTBEAT_S * HEARTBEATS_MISSED


@dataclass(frozen=True, slots=True)
class Hang:
    """``why`` it is to be killed; with ``stacks``, after it has written where its threads are.
    ``excused``: most likely, what has paused the supervisor has stopped it, too."""

    why: str
    stacks: bool
    excused: bool


class HangWatch:
    """Owns when a process was last heard, has last worked, and has last come further.

    It may go without progress for ``stall_s`` with work in hand, for ``load_stall_s`` while it
    loads. All times are monotonic seconds.
    """

    def __init__(self, stall_s: float, load_stall_s: float) -> None:
        self._stall_s = stall_s
        self._load_stall_s = load_stall_s
        self.progress_at = 0.0
        self._beat_at = 0.0
        self._life_at = 0.0  # the last heartbeat, or sign that it works
        self.is_suspended = False  # it was stopped by a signal when last looked at
        self._resumed_at = -math.inf  # when the supervisor has last come back from a pause

    def begin(self, now: float) -> None:
        """Every period begins afresh: the process is new, or has just become ready."""
        self._beat_at = self._life_at = self.progress_at = now

    def on_start(self, now: float) -> None:
        self.begin(now)
        self.is_suspended = False

    def on_beat(self, now: float) -> None:
        self._beat_at = self._life_at = now
        self.is_suspended = False

    def on_progress(self, now: float) -> None:
        self.progress_at = now

    def on_worked(self, now: float) -> None:
        """The system accounts work to it, though it is silent."""
        self._life_at = now

    def on_resumed(self, now: float) -> None:
        """The supervisor is back from a pause, in which it has heard nobody."""
        self._resumed_at = now
        self.is_suspended = False

    def silent_s(self, now: float) -> float:
        """How long it has said nothing."""
        return now - self._beat_at

    def look(
        self, state: ReplicaState, now: float, *, serving: bool, in_flight: int
    ) -> Hang | None:
        """Whether it hangs, in this ``state`` and with so much work."""
        idle_s, silent_s = now - self.progress_at, self.silent_s(now)
        if serving and now - self._life_at > SILENCE_S:
            # A stopped process keeps every signal but SIGKILL pending; any other tells where it is.
            why = f"no heartbeat for {silent_s:.0f} s"
            return self._hang(now, silent_s, why, stacks=not self.is_suspended)
        if serving and silent_s > max(self._stall_s, SILENCE_S):
            return self._hang(now, silent_s, f"no heartbeat for {silent_s:.0f} s, though it works")
        if state == "ready" and in_flight and idle_s > self._stall_s:
            return self._hang(now, idle_s, f"no progress for {idle_s:.0f} s with work in hand")
        if state == "starting" and idle_s > self._load_stall_s:
            return self._hang(now, idle_s, f"no progress for {idle_s:.0f} s while loading")
        return None

    def _hang(self, now: float, for_s: float, why: str, *, stacks: bool = True) -> Hang:
        """It has not done ``for_s`` what it should. If it has not come back to life since a pause
        of the supervisor, whatever caused that pause is to blame."""
        return Hang(why, stacks, excused=now - for_s <= self._resumed_at)
