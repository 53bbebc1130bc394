"""How a process is ended: it is asked to, then told by signals that are harder to ignore."""

from __future__ import annotations

import signal
from collections import deque

from supervisor.lifecycle.actions import Action, AskToDrain, Signal
from supervisor.lifecycle.happenings import Stop

# From when its route is closed to when it is asked to drain: the frontend may have sent it jobs
# before it hears of that, and an idle worker ends within milliseconds, with them.
NOTICE_S = 0.25
TERM_S = 10.0  # from SIGTERM to SIGABRT
ABORT_S = 1.0  # from SIGABRT, which writes every thread's stack to the log, to SIGKILL


class Escalation:
    """Owns the steps that are still to come, each with its time."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, AskToDrain | Signal]] = deque()
        self.kills = False  # nothing but a kill is to come, and it is not taken back

    def clear(self) -> None:
        """There is another process: nothing is to come."""
        self._steps.clear()
        self.kills = False

    def drain(self, stop: Stop, now: float) -> list[Action]:
        """Ask it to drain, and escalate if it does not; one that is to be killed is not asked.
        Returns what of that is due."""
        if self.kills:
            return []
        ask_at = now + stop.notice_s
        end_at = ask_at + stop.drain_s + stop.grace_s
        self._steps = deque(
            [
                (ask_at, AskToDrain(stop.drain_s)),
                (end_at, Signal(signal.SIGTERM, "did not drain in time")),
                (end_at + TERM_S, Signal(signal.SIGABRT, "ignores SIGTERM")),
                (end_at + TERM_S + ABORT_S, Signal(signal.SIGKILL, "ignores SIGABRT")),
            ]
        )
        return self.due(now)

    def kill(self, why: str, now: float, *, stacks: bool) -> None:
        """Kill it, with ``stacks`` once it has had time to write where its threads are."""
        self.kills = True
        self._steps.clear()
        if stacks:
            self._steps.append((now, Signal(signal.SIGABRT, why)))
        self._steps.append((now + ABORT_S * stacks, Signal(signal.SIGKILL, why)))

    def delay(self, seconds: float) -> None:
        """What is to come may take so much longer."""
        self._steps = deque((at + seconds, step) for at, step in self._steps)

    def due(self, now: float) -> list[Action]:
        """The steps whose time has come, each once."""
        actions: list[Action] = []
        while self._steps and now >= self._steps[0][0]:
            actions.append(self._steps.popleft()[1])
        return actions
