"""The supervision loop: it turns what happens to processes into happenings, and decisions into
spawns, signals and messages. The rules are in `supervisor.replica`; nothing is decided here twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from typing import Any

import psutil
import zmq

from ipc.messages.control import (
    Abandon,
    AskHealth,
    BootFailed,
    Drain,
    FromChild,
    Health,
    Heartbeat,
    Hello,
    Loading,
    Misbehaved,
    Noted,
    Ready,
    Start,
    States,
    ToChild,
    child_id,
)
from ipc.messages.state import ModelState
from ipc.transport.sockets import Port, SocketFile, bind_router, ipc_endpoint
from ipc.transport.wire import Decoder, encode
from supervisor import example, fleet, health, interrupt
from supervisor.children.process import Exit, Percent, Process, sample
from supervisor.cleanup import Remains
from supervisor.fleet import FRONTEND, Member
from supervisor.greeting import Greeting
from supervisor.listener import url
from supervisor.liveness import signs
from supervisor.notify import Notifier
from supervisor.plan import Plan
from supervisor.replica import (
    Action,
    AskToDrain,
    Beat,
    BecameReady,
    Begin,
    Blocked,
    CouldNotBoot,
    Garbled,
    Happening,
    Progressed,
    Replica,
    Resumed,
    Sampled,
    Signal,
    Spawn,
    Stop,
    Tick,
    Warn,
)
from supervisor.run_dir import InUseError, RunDir

logger = logging.getLogger(__name__)

TICK_S = 0.25
# A tick that comes so much later than it should has been kept from coming: this process was
# stopped, its container or machine paused, or its memory swapped out.
LATE_S = 1.0
SAMPLE_S = 1.0
# How long a run folder that was removed may fail to be made again.
RUN_DIR_S = 5.0
# Idle workers have nothing to drain when the frontend has gone; they need time to close only.
WORKER_DRAIN_S = 1.0
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
        self._control_file = SocketFile(run_dir.control)
        self._run_dir_lost_at: float | None = None
        self._self = psutil.Process()
        self._cpu = Percent(self._self.cpu_percent)
        self._box_cpu = Percent(psutil.cpu_percent)
        self._remains = Remains()
        self.failed = False  # stopped by itself, not by a signal
        self._stopping = False
        self._stopped = asyncio.Event()
        self._told_all_ready = False
        self._greeting = Greeting(plan)

    async def run(self) -> None:
        """Start everyone, keep them alive, and stop them on SIGTERM, SIGINT or SIGHUP."""
        loop = asyncio.get_running_loop()
        for number in interrupt.STOPS:
            ignored = signal.getsignal(number) is signal.SIG_IGN
            if not (number is signal.SIGHUP and ignored):  # as nohup has it
                loop.add_signal_handler(number, self.stop)
        interrupt.let(*interrupt.STOPS)
        for member in self._members.values():
            self._happen(member, Begin())
        tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._measure())]
        await self._stopped.wait()
        interrupt.hold(*interrupt.STOPS)  # all is done, and the loop takes none after its end
        for task in tasks:
            task.cancel()
        await self._remains.end()
        self._control.close()
        self._context.term()

    def stop(self) -> None:
        """First call: drain. Second call: end what is left at once, with errors to its clients."""
        drain_s = 0.0 if self._stopping else self._plan.drain_s
        self._greeting.on_stop(again=self._stopping)
        self._stopping = True
        self._notifier.send("STOPPING=1", "STATUS=draining")
        logger.info("stopping", extra={"drain_s": drain_s})
        self._stop(self._members[FRONTEND], drain_s)
        self._stop_workers_when_alone()

    # --- time ---

    async def _watch(self) -> None:
        ticked_at = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            ticked_at, before = time.monotonic(), ticked_at
            try:
                if ticked_at - before > TICK_S + LATE_S:
                    self._catch_up(ticked_at - before)
                self._look_after_all()
            except Exception:  # of one tick: without the next ones nobody would be looked after
                logger.exception("tick_failed")

    def _look_after_all(self) -> None:
        for member in self._members.values():
            for sign in signs(member, time.monotonic()):
                self._happen(member, sign)
            self._tick(member)
        self._stop_workers_when_alone()
        self._remains.tick(self._pids())
        self._keep_run_dir(time.monotonic())
        self._notifier.ping(time.monotonic())

    def _catch_up(self, away_s: float) -> None:
        """What children have said meanwhile lies unread; what they have not said, they may have had
        no time to say, as whatever paused this process may have paused them, too."""
        logger.warning("paused", extra={"seconds": round(away_s, 1)})
        self._control.read()
        for member in self._members.values():
            if member.process is not None:
                member.process.resume()
            self._happen(member, Resumed(away_s))

    def _keep_run_dir(self, now: float) -> None:
        """Without the folder and the control socket in it, the next child would be the last."""
        if self._stopping or (self._run_dir.whole() and self._control_file.is_there()):
            self._run_dir_lost_at = None
            return
        try:
            if not self._run_dir.whole():
                self._run_dir.restore()
            if not self._control_file.is_there():
                self._control.bind_again(self._run_dir.control)
                self._control_file = SocketFile(self._run_dir.control)
        except (InUseError, OSError) as error:
            self._run_dir_lost_at = self._run_dir_lost_at or now
            if isinstance(error, InUseError) or now - self._run_dir_lost_at >= RUN_DIR_S:
                logger.error(
                    "the run folder was removed and cannot be made again (%s); stopping, as nobody "
                    "who dies could be replaced: start again, with another EDGE_SERVE_RUN_DIR if "
                    "this one does not last",
                    error,
                )
                self.failed = True
                self.stop()
            return
        logger.warning("run_dir_restored", extra={"path": str(self._run_dir.path)})

    def _tick(self, member: Member) -> None:
        """Time has passed; a start that is due waits while the GPU holds the dead one's memory."""
        vram, gone = member.vram, member.process is None
        blocked = gone and vram is not None and not vram.is_back(time.monotonic())
        self._happen(member, Blocked("GPU memory of its last process") if blocked else Tick())

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            try:
                self._sample_all()
            except Exception:
                logger.exception("sample_failed")

    def _sample_all(self) -> None:
        self._remains.look(time.monotonic())
        for group in fleet.by_model(self._members.values()).values():
            for member in group:
                if fleet.may_be_away(member, group):
                    self._sample(member)

    def _sample(self, member: Member) -> None:
        if member.process is None:
            return
        if member.vram is not None:
            member.vram.note(member.process.pid)
        rss_mb = member.process.rss_mb() if member.replica.limited else None
        if rss_mb is not None:
            self._happen(member, Sampled(rss_mb))

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
                reason, permanent, outside = message.reason, message.permanent, message.outside
                self._happen(member, CouldNotBoot(reason, permanent, outside))
                self._tell(member, Noted())
            case Heartbeat():
                self._happen(member, Beat(message.counters))
            case Misbehaved() if member.spec is None:
                self._on_misbehaved(message)
            case AskHealth():
                self._tell(member, Health(message.id, self.report()))

    def _on_misbehaved(self, message: Misbehaved) -> None:
        worker = self._sender(child_id(message.replica, message.generation).encode())
        if worker is not None and worker.spec is not None:
            self._happen(worker, Garbled(message.why))

    def _sender(self, identity: bytes) -> Member | None:
        name, _, generation = identity.decode(errors="replace").rpartition(".")
        member = self._members.get(name)
        if member is None or generation != str(member.replica.generation):
            return None
        return member

    def _welcome(self, member: Member) -> ToChild:
        if member.spec is None:
            return self._plan.serve
        return Start(spec=fleet.pinned(member.spec))

    def _on_ready(self, member: Member, ready: BecameReady) -> None:
        self._happen(member, ready)
        self._sample(member)
        self._remains.limit(member)
        if member.spec is None:
            self._tell(member, States(self._published))
            self._notifier.send("READY=1")
        self._announce(member)

    def _announce(self, member: Member) -> None:
        replica = member.replica
        tls = self._plan.serve.gate.ssl_certfile is not None
        where = url(self._listener, self._plan.host, tls=tls)
        if member.spec is None:
            logger.info("listening", extra={"url": where})
            self._greeting.on_listening(where)
        else:
            device = replica.loaded.device if replica.loaded else None
            facts = {"model": member.spec.name, "replica": replica.name, "device": device}
            facts |= {"warm": " ".join(f"{what}={how}" for what, how in replica.warm.items())}
            logger.info("ready", extra={**facts, "generation": replica.generation})
            self._greeting.on_ready(member.spec.name)
        self._tell_status()
        all_ready = all(state.state == "ready" for state in self._published)
        listening = self._members[FRONTEND].replica.state == "ready"
        if listening and all_ready and not self._told_all_ready:
            self._told_all_ready = True
            logger.info("all models are ready; try:\n%s", self._example(where))
            self._greeting.on_all_ready(where, self._listener.getsockname()[1])

    def _tell_status(self) -> None:
        """Tell systemd in a line how things stand."""
        states = [state.state for state in self._published]
        status = f"{states.count('ready')} of {len(states)} models ready"
        frontend = self._members[FRONTEND].replica
        if frontend.state == "backoff" and frontend.was_ready:
            status = f"nobody answers clients, the frontend keeps failing ({frontend.last_exit}); "
            status += f"tried again without end, {len(states)} models stay loaded"
        if not self._stopping:
            self._notifier.send(f"STATUS={status}")

    def _example(self, where: str) -> str:
        serve = self._plan.serve
        return example.curl(where, serve.specs, with_key=bool(serve.gate.api_keys))

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
            case Warn(what):
                logger.warning("limit", extra={"child": member.replica.name, "why": what})

    def _spawn(self, member: Member) -> None:
        generation = member.replica.generation
        member.work_done = 0.0
        listen = self._listener.fileno()
        command = fleet.argv(member, self._plan, ipc_endpoint(self._run_dir.control))
        if member.spec is None:
            command += ["--listen-fd", str(listen)]
        try:
            member.process = Process(
                command,
                fleet.environment(member.spec),
                pass_fds=[listen] if member.spec is None else [],
                on_exit=lambda end: self._on_exit(member, generation, end),
            )
        except OSError as error:
            # Out of processes, descriptors or memory: a failed start like any other, tried again.
            self._on_exit(member, generation, Exit(f"could not be started: {error.strerror}"))
            return
        if member.spec is not None:
            self._remains.enclose(member, child_id(member.replica.name, generation))
        logger.info(
            "started",
            extra={
                "child": member.replica.name,
                "generation": generation,
                "pid": member.process.pid,
                "model": member.spec.name if member.spec else None,
            },
        )

    def _on_exit(self, member: Member, generation: int, end: Exit) -> None:
        member.process = None
        replica = member.replica
        if member.vram is not None:
            member.vram.on_exit(time.monotonic())
        self._happen(member, self._remains.exited(member, end, time.monotonic()))
        planned = self._stopping or replica.crashed != generation
        level = logging.INFO if planned else logging.ERROR
        facts = {"child": replica.name, "generation": generation, "reason": replica.last_exit}
        logger.log(level, "exited", extra={**facts, "state": replica.state})
        with contextlib.suppress(OSError):  # it has no file, or the whole folder has gone
            (self._run_dir.path / child_id(replica.name, generation)).unlink()
        self._remains.clear(member, self._pids())
        if member.spec is None:
            self._on_frontend_exit(generation)
        else:
            self._on_worker_exit(member.spec.name, replica)
        self._stop_workers_when_alone()
        self._tick(member)  # a first restart is due at once

    def _pids(self) -> set[int]:
        """The living children."""
        return {one.process.pid for one in self._members.values() if one.process is not None}

    def _on_frontend_exit(self, generation: int) -> None:
        """Its clients have gone with it: nobody waits for the jobs that it had sent."""
        for member in self._workers():
            self._tell(member, Abandon(child_id(FRONTEND, generation)))
        if self._stopping:
            return
        frontend = self._members[FRONTEND].replica
        if frontend.state == "failed":
            logger.error("the frontend cannot start", extra={"reason": frontend.reason})
            self.failed = True
            self.stop()
        elif (wait_s := (frontend.next_start_at or 0.0) - time.monotonic()) > 0:
            self._tell_status()
            facts = {"restarts": frontend.restarts, "next_start_s": round(wait_s, 1)}
            logger.error("the frontend keeps failing; models stay loaded", extra=facts)

    def _on_worker_exit(self, model: str, replica: Replica) -> None:
        """Where that was asked for, a model that does not start keeps the others from starting."""
        starting = self._plan.fail_fast and not self._told_all_ready and not self._stopping
        if starting and replica.state == "failed":
            logger.error("fail_fast", extra={"model": model, "reason": replica.reason})
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
            "box": health.box(self._box_cpu()),
            "supervisor": health.process(os.getpid(), sample(self._self, self._cpu)),
            "frontend": health.member(self._members[FRONTEND], now),
            "models": health.models(self._members.values(), self._plan.unavailable, now),
        }
