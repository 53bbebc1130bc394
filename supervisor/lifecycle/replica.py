"""One supervised process through its generations: a state machine without effects.

    stopped -> starting -> ready -> draining -> stopped
                  |          |         |
                  +----+-----+         +--> starting    a planned recycle
                       v
                    backoff -> starting        after a failure
                    failed  -> starting        circuit open: one trial start now and then

`Replica.on` takes what happened and the time, and returns what to do about it. It reads no clock
and touches no process, so every rule below is tested with literal histories.
"""

from __future__ import annotations

import math
import random
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ipc.messages.control import HEARTBEAT_S, HEARTBEATS_MISSED, Counters
from ipc.messages.spec import Loaded
from ipc.messages.state import ReplicaState
from supervisor.lifecycle.actions import Action, AskToDrain, Signal, Spawn, Warn
from supervisor.lifecycle.happenings import (
    Beat,
    BecameReady,
    Begin,
    Blocked,
    CouldNotBoot,
    Exited,
    Garbled,
    Happening,
    Progressed,
    Renew,
    Resumed,
    Sampled,
    Sent,
    Stop,
    Suspended,
    Tick,
    Worked,
)
from supervisor.lifecycle.recycle import REST_S, UNLIMITED, Limits

BACKOFF_JITTER = 0.2
CIRCUIT_FAILURES = 5
CIRCUIT_OOM_KILLS = 2  # a model that the kernel has no memory for will not fit a third time
CIRCUIT_WINDOW_S = 600.0
CIRCUIT_TRIAL_S = 300.0
SILENCE_S = HEARTBEAT_S * HEARTBEATS_MISSED
# From when its route is closed to when it is asked to drain: the frontend may have sent it jobs
# before it hears of that, and an idle worker ends within milliseconds, with them.
NOTICE_S = 0.25
TERM_S = 10.0  # from SIGTERM to SIGABRT
ABORT_S = 1.0  # from SIGABRT, which writes every thread's stack to the log, to SIGKILL


@dataclass(frozen=True, slots=True)
class Patience:
    """How failures are met. ``healthy_s``: a run this long wipes out what went before. ``endless``:
    what was ready once is started again however often it fails, with no circuit to open."""

    backoff_max_s: float = 60.0
    healthy_s: float = 600.0
    endless: bool = False


WORKER = Patience()


class Replica:
    """What is known of one process, and what becomes of it. All times are monotonic seconds."""

    def __init__(
        self,
        name: str,
        stall_s: float,
        load_stall_s: float,
        limits: Limits = UNLIMITED,
        patience: Patience = WORKER,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.name = name
        self.state: ReplicaState = "stopped"
        self.generation = 0
        self.restarts = 0
        self.crashed = 0  # the last generation that ended without being asked to
        self.faulty = 0  # the last generation whose end was its own doing
        self.broke_idle = 0  # the last one that broke, or took all memory, with no job in hand
        self.hung = 0  # the last one that was ended because nothing came of it any more
        self.recycles = 0
        self.stage: str | None = None
        self.reason: str | None = None  # why it is not ready, for people
        self.last_exit: str | None = None
        self._blocked_by: str | None = None  # what its start waits for
        self.loaded: Loaded | None = None
        self.warm: dict[str, str] = {}
        self.counters = Counters()
        self._sent = 0  # as the frontend has last said
        self.was_ready = False
        self.next_start_at: float | None = None
        self.started_at: float | None = None  # when its last load began
        self.load_s: float | None = None  # its last load, from the process's start to ready
        self.progress_at = 0.0
        self._stall_s = stall_s
        self._load_stall_s = load_stall_s
        self._limits = limits
        self._patience = patience
        self._jitter = jitter
        self._beat_at = 0.0
        self._life_at = 0.0  # the last heartbeat, or sign that it works
        self._ready_at: float | None = None
        self._in_a_row = 0
        self._failures: deque[float] = deque()
        self._oom_kills: deque[float] = deque()
        self._permanent = False
        self._condemned = False  # it will be killed
        self._suspended = False  # it was stopped by a signal when last looked at
        self._resumed_at = -math.inf  # when the supervisor has last come back from a pause
        self._excused = False  # it is killed for what a pause may have done to it
        self._outside = False  # what ends it came from outside
        self.lacked_memory = False  # it ended while it loaded, for want of memory
        self.load_mb = 0.0  # the most memory that it was seen to have while it loaded
        self._base_mb: float | None = None  # its memory when it had just become ready
        self._recycling = False
        self._recycled_at: float | None = None
        self._ladder: deque[tuple[float, AskToDrain | Signal]] = deque()

    @property
    def explained(self) -> str | None:
        """Why it is not ready, and where its circuit is open, what becomes of it."""
        if self._blocked_by is not None:
            return f"waits for {self._blocked_by}; before: {self.reason}"
        if self.state != "failed" or self.reason is None:
            return self.reason
        minutes = f"{CIRCUIT_TRIAL_S / 60:.0f} minutes"
        if self._permanent:
            outlook = f"waiting does not mend this; once mended it starts within {minutes}"
        else:
            window = f"{CIRCUIT_WINDOW_S / 60:.0f} minutes"
            outlook = f"{len(self._failures)} failures in {window}; tried again each {minutes}"
        return f"{self.reason} ({outlook}, or at once by `edge-serve load MODEL`)"

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self.state in ("starting", "ready", "draining")

    @property
    def serving(self) -> bool:
        """Whether this generation has a socket that jobs can be on."""
        return self.alive and self._ready_at is not None

    @property
    def in_hand(self) -> int:
        """How many jobs it has, by whoever says more: its heartbeats are seldom, and a frontend
        that has died counts none."""
        return max(self._sent, self.counters.in_flight)

    def silent_s(self, now: float) -> float:
        """How long a serving process has said nothing."""
        return now - self._beat_at if self.serving else 0.0

    @property
    def limited(self) -> bool:
        """Whether it may have to be recycled for what it takes."""
        return bool(self._limits) or bool(self.counters.worn)

    @property
    def hard_limit_mb(self) -> float | None:
        """What the kernel should hold its memory to, known once it is ready."""
        return None if self._base_mb is None else self._limits.hard_mb(self._base_mb)

    def on(self, happening: Happening, now: float) -> list[Action]:
        """Take in what happened; returns what to do."""
        match happening:
            case Begin() if self.state == "stopped":
                return self._start(now)
            case Sampled(rss_mb) if self.state == "ready" and not self._condemned:
                return self._weigh(rss_mb, now)
            case Garbled(why) if self.alive and not self._condemned:
                self._kill(now, why, stacks=False)
                return self._due(now)
            case Suspended(seconds) if self.alive and not self._condemned:
                self._suspended = seconds > 0
                if seconds > SILENCE_S:
                    self._kill(now, f"stopped by a signal for {seconds:.0f} s", stacks=False)
                return self._due(now)
            case Exited(reason, oom, outside) if self.alive:
                self._outside = self._outside or outside
                self._exit(reason, oom, now)
            case Stop():
                return self._stop(happening, now)
            case Renew(why):
                return self._renew(why, now)
            case Tick():
                return self._tick(now)
            case _:
                self._learn(happening, now)
        return []

    def _learn(self, happening: Happening, now: float) -> None:
        """What is taken in, and asks for nothing to be done."""
        match happening:
            case Sampled(rss_mb) if self.state == "starting":
                self.load_mb = max(self.load_mb, rss_mb)
            case Blocked(what) if self.next_start_at is not None and now >= self.next_start_at:
                self._blocked_by = what
            case Resumed(away_s) if self.alive:
                self._resume(away_s, now)
            case Progressed(stage) if self.state == "starting":
                self.stage = stage or self.stage
                self.progress_at = now
            case BecameReady(loaded, warm) if self.state == "starting":
                self._become_ready(loaded, warm, now)
            case Beat(counters) if self.alive:
                self._beat(counters, now)
            case Sent(jobs) if self.alive:
                self._sent = jobs
            case Worked() if self.alive:
                self._life_at = now
            case CouldNotBoot(reason, permanent, outside, memory):
                self.reason, self._permanent, self._outside = reason, permanent, outside
                self.lacked_memory = memory

    def _start(self, now: float) -> list[Action]:
        self.generation += 1
        self.state = "starting"
        self.stage = self.reason = self._blocked_by = None
        self.counters = Counters()
        self._sent = 0
        self.started_at = now
        self.progress_at = self._beat_at = self._life_at = now
        self._ready_at = self._base_mb = None
        self.lacked_memory, self.load_mb = False, 0.0
        self._permanent = self._condemned = False
        self._suspended = self._excused = self._outside = False
        self._ladder.clear()
        self.next_start_at = None
        return [Spawn(self.generation)]

    def _become_ready(self, loaded: Loaded | None, warm: dict[str, str] | None, now: float) -> None:
        self.state = "ready"
        self.was_ready = True
        if self.started_at is not None:
            self.load_s = now - self.started_at
        self.loaded = loaded
        self.warm = warm or {}
        self.reason = None
        self._ready_at = self._beat_at = self._life_at = self.progress_at = now

    def _beat(self, counters: Counters, now: float) -> None:
        self._beat_at = self._life_at = now
        self._suspended = False
        if counters.progress != self.counters.progress or counters.in_flight == 0:
            self.progress_at = now
        self.counters = counters

    def _resume(self, away_s: float, now: float) -> None:
        """Every period begins afresh, and what was to end at a time may take as much longer."""
        self._resumed_at = now
        self._suspended = False
        if self._condemned:
            return
        self._beat_at = self._life_at = self.progress_at = now
        self._ladder = deque((at + away_s, step) for at, step in self._ladder)

    def _exit(self, reason: str, oom: bool, now: float) -> None:
        # A boot failure or a kill of ours has said why already; the exit status only adds to it.
        self.last_exit = f"{self.reason} ({reason})" if self.reason else reason
        self.reason = self.reason or reason
        self.lacked_memory = self.state == "starting" and (oom or self.lacked_memory)
        recycling, self._recycling = self._recycling, False
        if recycling and not oom:
            self.recycles += 1
            self.state, self.next_start_at = "backoff", now
            return
        if self.state == "draining" and not recycling:
            self.state = "stopped"
            return
        if recycling:
            self.reason = self.last_exit
        self.restarts += 1
        self._note_crash(oom)
        if self._excused:
            self.state, self.next_start_at = "backoff", now
            return
        if not self._outside:
            self.faulty = self.generation
        if self._ready_at is not None and now - self._ready_at >= self._patience.healthy_s:
            self._in_a_row = 0
            self._failures.clear()
        self._failures.append(now)
        if oom:
            self._oom_kills.append(now)
        for times in (self._failures, self._oom_kills):
            while times and times[0] <= now - CIRCUIT_WINDOW_S:
                times.popleft()
        self._plan_next(now)

    def _note_crash(self, oom: bool) -> None:
        self.crashed = self.generation
        idle = self.counters.progress > 0 and self.in_hand == 0
        if idle and (oom or not self._outside):
            self.broke_idle = self.generation

    def _plan_next(self, now: float) -> None:
        often = len(self._failures) >= CIRCUIT_FAILURES and not self._tireless
        if self._permanent or often or len(self._oom_kills) >= CIRCUIT_OOM_KILLS:
            self.state = "failed"
            self.next_start_at = now + CIRCUIT_TRIAL_S
            return
        most_s = self._patience.backoff_max_s
        # No power of two beyond any maximum: one that fails for years must not overflow.
        delay_s = 2.0 ** min(self._in_a_row - 1, 16) if self._in_a_row else 0.0
        delay_s = min(delay_s, most_s) * self._jitter(1 - BACKOFF_JITTER, 1 + BACKOFF_JITTER)
        self._in_a_row += 1
        self.state = "backoff"
        self.next_start_at = now + min(delay_s, most_s)

    @property
    def _tireless(self) -> bool:
        return self._patience.endless and self.was_ready

    def _weigh(self, rss_mb: float, now: float) -> list[Action]:
        """Recycle the process where it has come to one of its limits."""
        if self._base_mb is None:
            self._base_mb = rss_mb
            if (warning := self._limits.too_tight(rss_mb)) is not None:
                return [Warn(warning)]
        if self._recycled_at is not None and now - self._recycled_at < REST_S:
            return []
        why = self._limits.exceeded(rss_mb, self._base_mb, self.counters.jobs)
        why = why or self.counters.worn
        if not why:
            return []
        return [Warn(f"recycled: {why}"), *self._recycle(why, now)]

    def _renew(self, why: str, now: float) -> list[Action]:
        """Whatever failed before counts no more: somebody has had a look at it."""
        self._failures.clear()
        self._oom_kills.clear()
        self._in_a_row = 0
        if self.state in ("backoff", "failed"):
            return self._start(now)
        ready = self.state == "ready" and not self._condemned
        return self._recycle(why, now) if ready else []

    def _recycle(self, why: str, now: float) -> list[Action]:
        self.reason = f"recycled: {why}"
        self._recycling = True
        self._recycled_at = now
        return self._drain(Stop(self._limits.drain_s, notice_s=NOTICE_S), now)

    def _stop(self, stop: Stop, now: float) -> list[Action]:
        self._recycling = False
        if not self.alive:
            self.state = "stopped"
            self._blocked_by = None
            self.next_start_at = None
            return []
        return self._drain(stop, now)

    def _drain(self, stop: Stop, now: float) -> list[Action]:
        self.state = "draining"
        if self._condemned:
            return []
        ask_at = now + stop.notice_s
        end_at = ask_at + stop.drain_s + stop.grace_s
        self._ladder = deque(
            [
                (ask_at, AskToDrain(stop.drain_s)),
                (end_at, Signal(signal.SIGTERM, "did not drain in time")),
                (end_at + TERM_S, Signal(signal.SIGABRT, "ignores SIGTERM")),
                (end_at + TERM_S + ABORT_S, Signal(signal.SIGKILL, "ignores SIGABRT")),
            ]
        )
        return self._due(now)

    def _tick(self, now: float) -> list[Action]:
        if self.next_start_at is not None and now >= self.next_start_at:
            return self._start(now)
        if not self._condemned:
            self._suspect(now)
        return self._due(now)

    def _due(self, now: float) -> list[Action]:
        actions: list[Action] = []
        while self._ladder and now >= self._ladder[0][0]:
            actions.append(self._ladder.popleft()[1])
        return actions

    def _suspect(self, now: float) -> None:
        """Find out whether the process hangs; if so, line up the signals that end it."""
        idle_s = now - self.progress_at
        silent_s = self.silent_s(now)
        if self.serving and now - self._life_at > SILENCE_S:
            # A stopped process keeps every signal but SIGKILL pending; any other tells where it is.
            why = f"no heartbeat for {silent_s:.0f} s"
            self._judge(now, silent_s, why, stacks=not self._suspended)
        elif silent_s > max(self._stall_s, SILENCE_S):
            why = f"no heartbeat for {silent_s:.0f} s, though it works"
            self._judge(now, silent_s, why, stacks=True)
        elif self.state == "ready" and self.counters.in_flight and idle_s > self._stall_s:
            why = f"no progress for {idle_s:.0f} s with work in hand"
            self._judge(now, idle_s, why, stacks=True)
        elif self.state == "starting" and idle_s > self._load_stall_s:
            why = f"no progress for {idle_s:.0f} s while loading"
            self._judge(now, idle_s, why, stacks=True)

    def _judge(self, now: float, for_s: float, why: str, *, stacks: bool) -> None:
        """Kill it for what it has not done ``for_s``. Where it has not come back to life after a
        pause of the supervisor, most likely whatever caused that pause has stopped it, too."""
        self._excused = now - for_s <= self._resumed_at
        self.hung = self.generation
        self._kill(now, why, stacks=stacks)

    def _kill(self, now: float, why: str, *, stacks: bool) -> None:
        self.reason = why
        self._condemned = True
        self._outside = self._suspended
        self._ladder.clear()
        if stacks:
            self._ladder.append((now, Signal(signal.SIGABRT, why)))
        self._ladder.append((now + ABORT_S * stacks, Signal(signal.SIGKILL, why)))
