"""The supervision loop: it turns what happens to processes into happenings, and decisions into
spawns, signals and messages. The rules are in `supervisor.replica`; nothing is decided here twice.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import psutil
import zmq

from ipc.control import (
    Abandon,
    AskHealth,
    BootFailed,
    Drain,
    FromChild,
    Health,
    Heartbeat,
    Hello,
    Loading,
    Ready,
    Serve,
    Start,
    States,
    ToChild,
    child_id,
)
from ipc.sockets import Port, bind_router
from ipc.types import ModelState
from ipc.wire import Decoder, encode
from supervisor import example, fleet, health
from supervisor.fleet import FRONTEND, Member
from supervisor.notify import Notifier
from supervisor.plan import Plan
from supervisor.process import Process, sample
from supervisor.replica import (
    Action,
    AskToDrain,
    Beat,
    BecameReady,
    Begin,
    CouldNotBoot,
    Exited,
    Happening,
    Progressed,
    Signal,
    Spawn,
    Stop,
    Tick,
)
from supervisor.run_dir import RunDir

logger = logging.getLogger(__name__)

TICK_S = 0.25
# One CPU second or one MiB read is progress in loading; waiting costs a process far less.
WORK_STEP = 1.0
# Idle workers have nothing to drain when the frontend has gone; they need time to close only.
WORKER_DRAIN_S = 2.0
FRONTEND_GRACE_S = 3.0


class Supervisor:
    """Owns every child process and the control socket. `run` returns when all have ended."""

    def __init__(self, plan: Plan, run_dir: RunDir, listener: socket.socket) -> None:
        self._plan = plan
        self._run_dir = run_dir
        self._listener = listener
        self._members = fleet.members(plan)
        self._published: list[ModelState] = []
        self._notifier = Notifier()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._decoder = Decoder[FromChild](FromChild)
        self._control = Port(bind_router(self._context, run_dir.control, hwm=0), self._on_message)
        self._self = psutil.Process()
        self.failed = False  # stopped by itself, not by a signal
        self._stopping = False
        self._stopped = asyncio.Event()
        self._pinged_at = 0.0
        self._told_all_ready = False

    async def run(self) -> None:
        """Start everyone, keep them alive, and stop them on SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        for member in self._members.values():
            self._happen(member, Begin())
        watch = asyncio.create_task(self._watch())
        await self._stopped.wait()
        watch.cancel()
        self._control.close()
        self._context.term()

    def stop(self) -> None:
        """First call: drain. Second call: end what is left at once, with errors to its clients."""
        drain_s = 0.0 if self._stopping else self._plan.drain_s
        self._stopping = True
        self._notifier.send("STOPPING=1", "STATUS=draining")
        logger.info("stopping", extra={"drain_s": drain_s})
        self._stop(self._members[FRONTEND], drain_s)
        self._stop_workers_when_alone()

    # --- time ---

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for member in self._members.values():
                self._note_work(member)
                self._happen(member, Tick())
            self._ping()

    def _note_work(self, member: Member) -> None:
        """While a model loads, whatever the system accounts to it is progress."""
        if member.replica.state != "starting" or member.process is None:
            return
        done = member.process.work_done()
        if done - member.work_done >= WORK_STEP:
            member.work_done = done
            self._happen(member, Progressed())

    def _ping(self) -> None:
        """Tell systemd that this loop turns, at a third of the interval that it allows."""
        now = time.monotonic()
        if self._notifier.watchdog_s and now - self._pinged_at >= self._notifier.watchdog_s / 3:
            self._pinged_at = now
            self._notifier.send("WATCHDOG=1")

    # --- what children say ---

    def _on_message(self, frames: list[bytes]) -> None:
        sender, *rest = frames
        member = self._sender(sender)
        if member is None:
            return  # the last words of a generation that has ended
        message = self._decoder.decode(rest)
        match message:
            case Hello():
                self._control.send([sender, *encode(self._welcome(member))])
            case Loading():
                self._happen(member, Progressed(message.stage))
            case Ready():
                self._on_ready(member, BecameReady(message.loaded, message.warm))
            case BootFailed():
                self._happen(member, CouldNotBoot(message.reason, message.permanent))
            case Heartbeat():
                self._happen(member, Beat(message.counters))
            case AskHealth():
                self._tell(member, Health(message.id, self.report()))

    def _sender(self, identity: bytes) -> Member | None:
        name, _, generation = identity.decode(errors="replace").rpartition(".")
        member = self._members.get(name)
        if member is None or generation != str(member.replica.generation):
            return None
        return member

    def _welcome(self, member: Member) -> ToChild:
        plan = self._plan
        if member.spec is not None:
            return Start(spec=fleet.pinned(member.spec), warm=plan.warm)
        return Serve(
            specs=plan.specs,
            keepalive_s=plan.keepalive_s,
            max_json_bytes=plan.max_json_bytes,
            max_audio_bytes=plan.max_audio_bytes,
            max_batch_size=plan.max_batch_size,
            max_text_chars=plan.max_text_chars,
            metrics=plan.metrics,
        )

    def _on_ready(self, member: Member, ready: BecameReady) -> None:
        self._happen(member, ready)
        if member.spec is None:
            self._tell(member, States(self._published))
            self._notifier.send("READY=1")
        self._announce(member)

    def _announce(self, member: Member) -> None:
        replica = member.replica
        where = f"http://{self._plan.host}:{self._plan.port}"
        if member.spec is None:
            logger.info("listening", extra={"url": where})
        else:
            device = replica.loaded.device if replica.loaded else None
            facts = {"model": member.spec.name, "replica": replica.name, "device": device}
            logger.info("ready", extra={**facts, "generation": replica.generation})
        states = [state.state for state in self._published]
        ready = states.count("ready")
        self._notifier.send(f"STATUS={ready} of {len(states)} models ready")
        listening = self._members[FRONTEND].replica.state == "ready"
        if listening and ready == len(states) and not self._told_all_ready:
            self._told_all_ready = True
            logger.info("all models are ready; try:\n%s", example.curl(where, self._plan.specs))

    # --- what happens to processes ---

    def _happen(self, member: Member, happening: Happening) -> None:
        now = time.monotonic()
        for action in member.replica.on(happening, now):
            self._act(member, action)
        self._publish(now)

    def _act(self, member: Member, action: Action) -> None:
        match action:
            case Spawn():
                self._spawn(member)
            case AskToDrain(seconds):
                if not self._tell(member, Drain(seconds)) and member.process is not None:
                    member.process.send_signal(signal.SIGTERM)  # it has not said hello yet
            case Signal(number, why):
                logger.warning(
                    "signal",
                    extra={"child": member.replica.name, "signal": number.name, "why": why},
                )
                if member.process is not None:
                    member.process.send_signal(number)

    def _spawn(self, member: Member) -> None:
        generation = member.replica.generation
        member.work_done = 0.0
        listen = self._listener.fileno()
        command = fleet.argv(member, self._plan, f"ipc://{self._run_dir.control}")
        if member.spec is None:
            command += ["--listen-fd", str(listen)]
        try:
            member.process = Process(
                command,
                fleet.environment(member.spec),
                pass_fds=[listen] if member.spec is None else [],
                on_exit=lambda reason: self._on_exit(member, generation, reason),
            )
        except OSError as error:
            # Out of processes, descriptors or memory: a failed start like any other, tried again.
            self._on_exit(member, generation, f"could not be started: {error.strerror}")
            return
        logger.info(
            "started",
            extra={
                "child": member.replica.name,
                "generation": generation,
                "pid": member.process.pid,
                "model": member.spec.name if member.spec else None,
            },
        )

    def _on_exit(self, member: Member, generation: int, reason: str) -> None:
        member.process = None
        self._happen(member, Exited(reason))
        replica = member.replica
        level = logging.INFO if self._stopping else logging.ERROR
        facts = {"child": replica.name, "generation": generation, "reason": replica.last_exit}
        logger.log(level, "exited", extra={**facts, "state": replica.state})
        (Path(self._plan.run_dir) / child_id(replica.name, generation)).unlink(missing_ok=True)
        if member.spec is None:
            self._on_frontend_exit(generation)
        self._stop_workers_when_alone()
        self._happen(member, Tick())  # a first restart is due at once

    def _on_frontend_exit(self, generation: int) -> None:
        """Its clients have gone with it: nobody waits for the jobs that it had sent."""
        for member in self._workers():
            self._tell(member, Abandon(child_id(FRONTEND, generation)))
        if self._members[FRONTEND].replica.state == "failed" and not self._stopping:
            logger.error("the frontend keeps failing; stopping, so that a fresh start can help")
            self.failed = True
            self.stop()

    def _stop_workers_when_alone(self) -> None:
        """The second half of a stop: the frontend has drained, so nobody needs the workers."""
        if not self._stopping or self._members[FRONTEND].replica.alive:
            return
        for member in self._workers():
            if member.replica.state != "draining":
                self._stop(member, WORKER_DRAIN_S)
        if not any(member.replica.alive for member in self._members.values()):
            self._stopped.set()

    def _stop(self, member: Member, drain_s: float) -> None:
        grace_s = FRONTEND_GRACE_S if member.spec is None else 0.0
        self._happen(member, Stop(drain_s, grace_s))

    # --- what everyone is told ---

    def _workers(self) -> list[Member]:
        return [member for member in self._members.values() if member.spec is not None]

    def _tell(self, member: Member, message: ToChild) -> bool:
        identity = child_id(member.replica.name, member.replica.generation).encode()
        return self._control.send([identity, *encode(message)])

    def _publish(self, now: float) -> None:
        """Send the models' states to the frontend when one of them has changed."""
        states = fleet.states(
            self._members.values(), self._plan.unavailable, self._run_dir.path, now
        )
        if states != self._published:
            self._published = states
            if self._members[FRONTEND].replica.serving:
                self._tell(self._members[FRONTEND], States(states))

    def report(self) -> dict[str, Any]:
        """The full health report, sampled now."""
        now = time.monotonic()
        return {
            "box": health.box(),
            "supervisor": health.process(os.getpid(), sample(self._self)),
            "frontend": health.member(self._members[FRONTEND], now),
            "models": health.models(self._members.values(), self._plan.unavailable, now),
        }
