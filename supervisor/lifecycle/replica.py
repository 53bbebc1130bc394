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

import random

from ipc.messages.control import Counters
from ipc.messages.spec import Loaded
from ipc.messages.state import ReplicaState
from supervisor.lifecycle.actions import Action, Spawn, Warn
from supervisor.lifecycle.escalation import NOTICE_S, Escalation
from supervisor.lifecycle.hang_watch import SILENCE_S, Hang, HangWatch
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
from supervisor.lifecycle.recycle import UNLIMITED, Limits, RecycleWatch
from supervisor.lifecycle.restarts import WORKER, Jitter, Patience, Restarts


class Replica:
    """What is known of one process, and what becomes of it. All times are monotonic seconds.

    Each of its parts owns one rule: when it is started again, whether it hangs, how it is ended,
    when it is recycled. Here is how it stands, and how its generations have ended.
    """

    def __init__(
        self,
        name: str,
        stall_s: float,
        load_stall_s: float,
        limits: Limits = UNLIMITED,
        patience: Patience = WORKER,
        jitter: Jitter = random.uniform,
    ) -> None:
        self.name = name
        self.state: ReplicaState = "stopped"
        self.generation = 0
        self.restarts = 0
        self.recycles = 0
        self.stage: str | None = None
        self.reason: str | None = None  # why it is not ready, for people
        self.loaded: Loaded | None = None
        self.warm: dict[str, str] = {}
        self.counters = Counters()
        self.was_ready = False
        self.started_at: float | None = None  # when its last load began
        self.load_s: float | None = None  # its last load, from the process's start to ready
        self.load_mb = 0.0  # the most memory that it was seen to have while it loaded
        self.lacked_memory = False  # it ended while it loaded, for want of memory
        # How generations have ended: why the last one has, and which was the last one that
        self.last_exit: str | None = None
        self.crashed = 0  # ended without being asked to
        self.faulty = 0  # ended by its own doing
        self.broke_idle = 0  # broke, or took all memory, with no job in hand
        self.hung = 0  # was ended because nothing came of it any more
        self._restarts = Restarts(patience, jitter)
        self._hang_watch = HangWatch(stall_s, load_stall_s)
        self._escalation = Escalation()
        self._recycle_watch = RecycleWatch(limits)
        self._ready_at: float | None = None
        self._sent = 0  # the jobs that it has, as the frontend has last said
        self._excused = False  # it is killed for what a pause may have done to it
        self._outside = False  # what ends it came from outside
        self._recycling = False

    # --- how it stands ---

    @property
    def explained(self) -> str | None:
        """Why it is not ready, and where its circuit is open, what becomes of it."""
        if self._restarts.blocked_by is not None:
            return f"waits for {self._restarts.blocked_by}; before: {self.reason}"
        if self.state != "failed" or self.reason is None:
            return self.reason
        return f"{self.reason} ({self._restarts.outlook()})"

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

    @property
    def next_start_at(self) -> float | None:
        """When it is started again; None: it runs, or is not to."""
        return self._restarts.next_at

    @property
    def progress_at(self) -> float:
        """When it has last come further."""
        return self._hang_watch.progress_at

    def silent_s(self, now: float) -> float:
        """How long a serving process has said nothing."""
        return self._hang_watch.silent_s(now) if self.serving else 0.0

    @property
    def limited(self) -> bool:
        """Whether it may have to be recycled for what it takes."""
        return bool(self._recycle_watch.limits) or bool(self.counters.worn)

    @property
    def hard_limit_mb(self) -> float | None:
        """What the kernel should hold its memory to, known once it is ready."""
        return self._recycle_watch.hard_limit_mb

    @property
    def _may_go_on(self) -> bool:
        """Whether there is a process that is not to be killed."""
        return self.alive and not self._escalation.kills

    # --- what happens ---

    def on(self, happening: Happening, now: float) -> list[Action]:
        """Take in what happened; returns what to do."""
        match happening:
            case Begin() if self.state == "stopped":
                return self._start(now)
            case Sampled(rss_mb) if self.state == "ready" and self._may_go_on:
                return self._weigh(rss_mb, now)
            case Garbled(why) if self._may_go_on:
                self._kill(now, why, stacks=False)
                return self._escalation.due(now)
            case Suspended(seconds) if self._may_go_on:
                return self._on_suspended(seconds, now)
            case Exited() if self.alive:
                self._exit(happening, now)
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
            case Blocked(what):
                self._restarts.block(what, now)
            case Resumed(away_s) if self.alive:
                self._resume(away_s, now)
            case Progressed(stage) if self.state == "starting":
                self.stage = stage or self.stage
                self._hang_watch.on_progress(now)
            case BecameReady() if self.state == "starting":
                self._become_ready(happening, now)
            case Beat(counters) if self.alive:
                self._beat(counters, now)
            case Sent(jobs) if self.alive:
                self._sent = jobs
            case Worked() if self.alive:
                self._hang_watch.on_worked(now)
            case CouldNotBoot(reason, permanent, outside, memory):
                self.reason, self._outside, self.lacked_memory = reason, outside, memory
                self._restarts.on_boot_failure(permanent=permanent)

    def _tick(self, now: float) -> list[Action]:
        if self._restarts.is_due(now):
            return self._start(now)
        if self._may_go_on:
            hang = self._hang_watch.look(
                self.state, now, serving=self.serving, in_flight=self.counters.in_flight
            )
            if hang is not None:
                self._on_hang(hang, now)
        return self._escalation.due(now)

    # --- its start ---

    def _start(self, now: float) -> list[Action]:
        self.generation += 1
        self.state = "starting"
        self.stage = self.reason = None
        self.counters = Counters()
        self._sent = 0
        self.started_at = now
        self._ready_at = None
        self.lacked_memory, self.load_mb = False, 0.0
        self._excused = self._outside = False
        self._restarts.on_start()
        self._hang_watch.on_start(now)
        self._escalation.clear()
        self._recycle_watch.on_start()
        return [Spawn(self.generation)]

    def _become_ready(self, ready: BecameReady, now: float) -> None:
        self.state = "ready"
        self.was_ready = True
        if self.started_at is not None:
            self.load_s = now - self.started_at
        self.loaded = ready.loaded
        self.warm = ready.warm or {}
        self.reason = None
        self._ready_at = now
        self._hang_watch.begin(now)

    # --- whether it lives ---

    def _beat(self, counters: Counters, now: float) -> None:
        self._hang_watch.on_beat(now)
        if counters.progress != self.counters.progress or counters.in_flight == 0:
            self._hang_watch.on_progress(now)
        self.counters = counters

    def _on_suspended(self, seconds: float, now: float) -> list[Action]:
        self._hang_watch.is_suspended = seconds > 0
        if seconds > SILENCE_S:
            self._kill(now, f"stopped by a signal for {seconds:.0f} s", stacks=False)
        return self._escalation.due(now)

    def _resume(self, away_s: float, now: float) -> None:
        """Every period begins afresh, and what was to end at a time may take as much longer."""
        self._hang_watch.on_resumed(now)
        if self._may_go_on:
            self._hang_watch.begin(now)
            self._escalation.delay(away_s)

    def _on_hang(self, hang: Hang, now: float) -> None:
        self._excused = hang.excused
        self.hung = self.generation
        self._kill(now, hang.why, stacks=hang.stacks)

    def _kill(self, now: float, why: str, *, stacks: bool) -> None:
        self.reason = why
        self._outside = self._hang_watch.is_suspended
        self._escalation.kill(why, now, stacks=stacks)

    # --- its end ---

    def _exit(self, end: Exited, now: float) -> None:
        self._outside = self._outside or end.outside
        # A boot failure or a kill of ours has said why already; the exit status only adds to it.
        self.last_exit = f"{self.reason} ({end.reason})" if self.reason else end.reason
        self.reason = self.reason or end.reason
        self.lacked_memory = self.state == "starting" and (end.oom or self.lacked_memory)
        recycling, self._recycling = self._recycling, False
        if recycling and not end.oom:
            self.recycles += 1
            self._start_again_at_once(now)
        elif self.state == "draining" and not recycling:
            self.state = "stopped"
        else:
            if recycling:
                self.reason = self.last_exit
            self._fail(now, oom=end.oom)

    def _fail(self, now: float, *, oom: bool) -> None:
        """It has ended, and should not have."""
        self.restarts += 1
        self.crashed = self.generation
        idle = self.counters.progress > 0 and self.in_hand == 0
        if idle and (oom or not self._outside):
            self.broke_idle = self.generation
        if self._excused:
            self._start_again_at_once(now)
            return
        if not self._outside:
            self.faulty = self.generation
        ran_s = None if self._ready_at is None else now - self._ready_at
        self.state = self._restarts.on_failure(now, ran_s=ran_s, oom=oom, was_ready=self.was_ready)

    def _start_again_at_once(self, now: float) -> None:
        self.state = "backoff"
        self._restarts.at_once(now)

    def _stop(self, stop: Stop, now: float) -> list[Action]:
        self._recycling = False
        if not self.alive:
            self.state = "stopped"
            self._restarts.cancel()
            return []
        return self._drain(stop, now)

    def _drain(self, stop: Stop, now: float) -> list[Action]:
        self.state = "draining"
        return self._escalation.drain(stop, now)

    # --- its replacement ---

    def _weigh(self, rss_mb: float, now: float) -> list[Action]:
        """Recycle the process where it has come to one of its limits."""
        if (warning := self._recycle_watch.warning(rss_mb)) is not None:
            return [Warn(warning)]
        if (why := self._recycle_watch.reason(rss_mb, self.counters, now)) is None:
            return []
        return [Warn(f"recycled: {why}"), *self._recycle(why, now)]

    def _renew(self, why: str, now: float) -> list[Action]:
        """Whatever failed before counts no more: somebody has had a look at it."""
        self._restarts.forgive()
        if self.state in ("backoff", "failed"):
            return self._start(now)
        ready = self.state == "ready" and self._may_go_on
        return self._recycle(why, now) if ready else []

    def _recycle(self, why: str, now: float) -> list[Action]:
        self.reason = f"recycled: {why}"
        self._recycling = True
        self._recycle_watch.on_recycle(now)
        return self._drain(Stop(self._recycle_watch.limits.drain_s, notice_s=NOTICE_S), now)
