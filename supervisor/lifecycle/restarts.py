"""When a process that has ended is started again: at once, after a while, or once its circuit lets
it be tried."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

BACKOFF_JITTER = 0.2
CIRCUIT_FAILURES = 5
CIRCUIT_OOM_KILLS = 2  # a model that the kernel has no memory for will not fit a third time
CIRCUIT_WINDOW_S = 600.0
CIRCUIT_TRIAL_S = 300.0

Jitter = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Patience:
    """How failures are met. ``healthy_s``: a run this long wipes out what went before. ``endless``:
    what was ready once is started again however often it fails, with no circuit to open."""

    backoff_max_s: float = 60.0
    healthy_s: float = 600.0
    endless: bool = False


WORKER = Patience()


class Restarts:
    """Owns when the next start is due, and the failures that decide it: the backoff and the
    circuit. All times are monotonic seconds."""

    def __init__(self, patience: Patience = WORKER, jitter: Jitter = random.uniform) -> None:
        self._patience = patience
        self._jitter = jitter
        self.next_at: float | None = None
        self.blocked_by: str | None = None  # what a start that is due waits for
        self._in_a_row = 0
        self._failures: deque[float] = deque()
        self._oom_kills: deque[float] = deque()
        self._permanent = False  # waiting does not mend why it could not boot

    def is_due(self, now: float) -> bool:
        return self.next_at is not None and now >= self.next_at

    def on_start(self) -> None:
        self.cancel()
        self._permanent = False

    def cancel(self) -> None:
        """No start is due."""
        self.next_at = self.blocked_by = None

    def at_once(self, now: float) -> None:
        """It was ended on purpose, or through no fault of its own: nothing is counted."""
        self.next_at = now

    def block(self, what: str, now: float) -> None:
        """A start that is due waits for ``what``."""
        if self.is_due(now):
            self.blocked_by = what

    def on_boot_failure(self, *, permanent: bool) -> None:
        """It says that it cannot start; its exit follows."""
        self._permanent = permanent

    def forgive(self) -> None:
        """Whatever failed before counts no more."""
        self._in_a_row = 0
        self._failures.clear()
        self._oom_kills.clear()

    def on_failure(
        self, now: float, *, ran_s: float | None, oom: bool, was_ready: bool
    ) -> Literal["backoff", "failed"]:
        """It has failed, ``ran_s`` after it had become ready, if it had: plan the next start.
        Returns what it is until then; ``failed``: its circuit is open."""
        if ran_s is not None and ran_s >= self._patience.healthy_s:
            self._in_a_row = 0
            self._failures.clear()
        self._failures.append(now)
        if oom:
            self._oom_kills.append(now)
        for times in (self._failures, self._oom_kills):
            while times and times[0] <= now - CIRCUIT_WINDOW_S:
                times.popleft()
        if self._opens_circuit(was_ready):
            self.next_at = now + CIRCUIT_TRIAL_S
            return "failed"
        self.next_at = now + self._backoff_s()
        return "backoff"

    def _opens_circuit(self, was_ready: bool) -> bool:
        tireless = self._patience.endless and was_ready
        often = len(self._failures) >= CIRCUIT_FAILURES and not tireless
        return self._permanent or often or len(self._oom_kills) >= CIRCUIT_OOM_KILLS

    def _backoff_s(self) -> float:
        """None after the first failure, then twice as long each time."""
        most_s = self._patience.backoff_max_s
        # No power of two beyond any maximum: one that fails for years must not overflow.
        delay_s = 2.0 ** min(self._in_a_row - 1, 16) if self._in_a_row else 0.0
        delay_s = min(delay_s, most_s) * self._jitter(1 - BACKOFF_JITTER, 1 + BACKOFF_JITTER)
        self._in_a_row += 1
        return min(delay_s, most_s)

    def outlook(self) -> str:
        """What becomes of one whose circuit is open, for people."""
        minutes = f"{CIRCUIT_TRIAL_S / 60:.0f} minutes"
        if self._permanent:
            found = f"waiting does not mend this; once mended it starts within {minutes}"
        else:
            window = f"{CIRCUIT_WINDOW_S / 60:.0f} minutes"
            found = f"{len(self._failures)} failures in {window}; tried again each {minutes}"
        return f"{found}, or at once by `edge-serve load MODEL`"
