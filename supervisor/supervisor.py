"""The supervision loop: it turns what happens to processes into happenings, and decisions into
spawns, signals and messages. The rules are in `supervisor.lifecycle`; nothing is decided here
twice.

It touches nothing by itself: what it does, it asks `supervisor.effects` for, and what happens, it
is told by `supervisor.daemon`. So all of it is tested with literal histories.
"""

from __future__ import annotations

import logging
import signal
from functools import partial
from typing import Any

from ipc.messages.admin import AdminAct, Ask, GetConfig, Note, Reload, Told
from ipc.messages.control import (
    Abandon,
    BootFailed,
    Demand,
    Drain,
    FromChild,
    Heartbeat,
    Hello,
    Left,
    Loading,
    Misbehaved,
    Noted,
    Prefixes,
    Ready,
    Shared,
    Start,
    ToChild,
    child_id,
)
from ipc.messages.keys import ApiKey
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState
from supervisor import health
from supervisor.admin.configuration import configuration
from supervisor.admin.event_log import EventLog
from supervisor.admin.last_state import last_state
from supervisor.admin.wishes import Wishes
from supervisor.announcer import Announcer
from supervisor.children.process import Exit
from supervisor.cleanup import Cleanup
from supervisor.effects import Effects
from supervisor.fleet import command
from supervisor.fleet.member import FRONTEND, Member, worker
from supervisor.fleet.model_set import ModelSet
from supervisor.keys.grants import KeyGrants
from supervisor.lifecycle.actions import Action, AskToDrain, Signal, Spawn, Warn
from supervisor.lifecycle.happenings import (
    Beat,
    BecameReady,
    Begin,
    Blocked,
    CouldNotBoot,
    Garbled,
    Happening,
    Progressed,
    Resumed,
    Sent,
    Stop,
    Tick,
)
from supervisor.lifecycle.liveness import signs
from supervisor.lifecycle.replica import Replica
from supervisor.loop.frontend_link import FrontendLink
from supervisor.loop.plan_in_force import PlanInForce
from supervisor.loop.published import Published
from supervisor.loop.sampler import Sampler
from supervisor.loop.served_models import ServedModels
from supervisor.loop.socket_watch import SocketWatch
from supervisor.loop.starter import Starter
from supervisor.plan import Plan
from supervisor.pulls.puller import Puller
from supervisor.reload.reloader import Reloader, Server
from supervisor.residency.loader import Loader

logger = logging.getLogger(__name__)

TICK_S = 0.25
# A tick that comes so much later than it should has been kept from coming: this process was
# stopped, its container or machine paused, or its memory swapped out.
LATE_S = 1.0
# Idle workers have nothing to drain when the frontend has gone; they need time to close only.
WORKER_DRAIN_S = 1.0
FRONTEND_GRACE_S = 3.0


class Supervisor:
    """Owns what is known of every child. To be told when a child speaks (`on_message`), and to be
    called each ``TICK_S`` (`tick`) and each second (`sample`)."""

    def __init__(self, plan: Plan, effects: Effects, cleanup: Cleanup) -> None:
        self._plan = PlanInForce(plan)
        self._effects = effects
        self._cleanup = cleanup
        self._ticked_at = effects.now()
        self._stopping = False
        self._stop_wished = False
        self.failed = False  # stopped by itself, not by a signal
        self._models = ModelSet(
            partial(worker, drain_s=plan.drain_s, effects=effects), plan.update_watch_s
        )
        self._frontend = FrontendLink(effects, self._plan, self._models)
        self._events = EventLog(effects.wall_s, self._frontend.tell_event)
        self._announcer = Announcer(plan, effects)
        self._loader = Loader(self._models, effects, self._events, plan)
        self._published = Published(
            self._models,
            self._loader,
            effects,
            self._events,
            plan.run_dir,
            plan.unavailable,
            self._tell_states,
        )
        self._served = ServedModels(
            self._models,
            self._plan,
            self._frontend,
            self._loader,
            self._published,
            effects,
            self._events,
            self._happen,
        )
        self._sampler = Sampler(self._models, effects, self._happen)
        self._starter = Starter(self._models, effects, cleanup, self._on_exit)
        self._sockets = SocketWatch(plan.run_dir, effects, self._fail)
        self._reloader = Reloader(effects, self._events, self._as_server())
        self._puller = Puller(
            effects,
            self._events,
            plan.command_env,
            self._served.on_pulled,
            self._served.on_files_removed,
        )
        self._wishes = self._make_wishes()

    def _make_wishes(self) -> Wishes:
        keys = KeyGrants(
            self._effects,
            file=lambda: self._plan.keys_file,
            digest=lambda: self._plan.keys_digest,
            in_force=lambda: self._plan.keys,
            take_over=self._let_in,
            tell=lambda event, name: self._events.add(event, key=name),
        )
        return Wishes(
            self._report,
            self._loader,
            self._puller,
            keys,
            self._effects,
            self._served.settle,
            self._wish_to_stop,
            self.roll_back,
            self._frontend.answer,
        )

    def begin(self) -> None:
        """Start everyone."""
        self._happen(self._frontend.member, Begin())
        self._served.begin()
        self._puller.begin()
        self._loader.begin()
        self._ticked_at = self._effects.now()

    def stop(self) -> None:
        """First call: drain. Second call: end what is left at once, with errors to its clients."""
        drain_s = 0.0 if self._stopping else self._plan.now.drain_s
        if not self._stopping:
            self._loader.end()
        self._stopping = True
        self._served.end()
        self._reloader.end()
        self._announcer.on_stop(drain_s)
        self._puller.stop()
        self._stop(self._frontend.member, drain_s)
        self._stop_workers_when_alone()

    def _wish_to_stop(self) -> dict[str, Any]:
        """An operator wants it: at the next turn, so that he is answered first."""
        self._stop_wished = True
        return {"stopping": True, "drain_s": self._plan.now.drain_s}

    # --- the configuration ---

    def add(self, spec: Spec, *, downtime: bool = False) -> None:
        """As `ServedModels.add`."""
        self._served.add(spec, downtime=downtime)

    def remove(self, name: str) -> None:
        """As `ServedModels.remove`."""
        self._served.remove(name)

    def roll_back(self, name: str) -> None:
        """As `ServedModels.roll_back`."""
        self._served.roll_back(name)

    def reload(self) -> None:
        """Have the configuration read again, and take over what has changed."""
        if not self._stopping:
            self._reloader.ask(Reload())

    def files(self) -> list[str]:
        """Those of the configuration, as it is in force."""
        return self._plan.files

    def _let_in(self, keys: dict[str, ApiKey], digest: str) -> None:
        """These keys are let in from now on, and no others; the file says so by now, with a text of
        that ``digest``."""
        self._plan.set_keys(keys, digest)
        self._frontend.tell_settings()
        if self._reloader.is_reading:
            self.reload()  # what is being read may be the file as it was

    def _as_server(self) -> Server:
        return Server(
            plan=lambda: self._plan.now,
            served=lambda: self._models.wanted,
            has_room=self._served.has_room,
            take_over=self._served.take_over,
            tell=self._frontend.answer,
        )

    # --- time ---

    def tick(self) -> None:
        """A while has passed: find out who hangs, and do what has become due."""
        now, before = self._effects.now(), self._ticked_at
        self._ticked_at = now
        if now - before > TICK_S + LATE_S:
            self._catch_up(now - before)
        if self._stop_wished and not self._stopping:
            self.stop()
        for member in self._everyone():
            for sign in signs(member, self._effects.now()):
                self._happen(member, sign)
            self._tick(member)
        self._served.load_and_unload()
        self._puller.turn()
        self._stop_workers_when_alone()
        self._reloader.tick(now)
        self._cleanup.tick(self._pids())
        self._effects.ping()

    def _catch_up(self, away_s: float) -> None:
        """What children have said meanwhile lies unread; what they have not said, they may have had
        no time to say, as whatever paused this process may have paused them, too."""
        logger.warning("paused", extra={"seconds": round(away_s, 1)})
        self._effects.read()
        for member in self._everyone():
            if member.process is not None:
                member.process.resume()
            self._happen(member, Resumed(away_s))

    def _tick(self, member: Member) -> None:
        """Time has passed; a start that is due waits while the GPU holds the dead one's memory."""
        vram, gone = member.vram, member.process is None
        blocked = gone and vram is not None and not vram.is_back(self._effects.now())
        self._happen(member, Blocked("GPU memory of its last process") if blocked else Tick())

    def sample(self) -> None:
        """Measure what workers have limits for, and look whether the sockets are there."""
        if not self._stopping:
            self._sockets.look()
            self._loader.second()
        self._cleanup.look(self._effects.now())
        for member in self._everyone():
            if member.process is not None:
                member.rss_mb = member.process.rss_mb() or member.rss_mb
        self._sampler.sample_workers()

    # --- what children say ---

    def on_message(self, sender: str, message: FromChild) -> None:
        """``sender`` is a `child_id`, so the last words of a generation that has ended are known
        for what they are."""
        member = self._member(sender)
        if member is None:
            return
        match message:
            case Hello():
                self._tell(member, self._welcome(member))
            case Loading():
                self._happen(member, Progressed(message.stage))
            case Ready():
                self._on_ready(member, BecameReady(message.loaded, message.warm))
            case BootFailed():
                reason, permanent, outside = message.reason, message.permanent, message.outside
                self._happen(member, CouldNotBoot(reason, permanent, outside, message.memory))
                self._tell(member, Noted())
            case Heartbeat():
                self._happen(member, Beat(message.counters))
            case Prefixes() if member.spec is not None:
                self._effects.keep_prefixes(member.spec, message.data)
            case Shared() if member.spec is not None:
                self._loader.on_shared(member, message)
                self._published.look_at(member.spec.name)
            case Misbehaved() | Left() | Demand() | Ask() | Note() | AdminAct() if (
                member.spec is None
            ):
                self._on_frontend(message)

    def _on_frontend(self, message: Misbehaved | Left | Demand | Ask | Note | AdminAct) -> None:
        match message:
            case Misbehaved():
                self._on_misbehaved(message)
            case Left():
                self._served.on_left(message.model)
            case Demand():
                self._note_sent(message)
                self._loader.on_demand(message)
                if self._models.may_move:
                    self._served.load_and_unload()
            case Ask(id=number, wish=Reload() as wish):
                self._reloader.ask(wish, number)
            case Ask(id=number, wish=GetConfig()):
                self._frontend.answer(Told(id=number, report=configuration(self._plan.now)))
            case Ask():
                self._wishes.answer(message)
            case Note():
                self._events.add(message.event, message.model, **message.facts)
            case AdminAct():
                self._effects.write_down(message)

    def _note_sent(self, demand: Demand) -> None:
        sent = {child: jobs for one in demand.models for child, jobs in one.by_worker.items()}
        for member in self._models.workers:
            child = child_id(member.replica.name, member.replica.generation)
            member.replica.on(Sent(sent.get(child, 0)), self._effects.now())

    def _on_misbehaved(self, message: Misbehaved) -> None:
        worker = self._member(child_id(message.replica, message.generation))
        if worker is not None and worker.spec is not None:
            self._happen(worker, Garbled(message.why))

    def _member(self, child: str) -> Member | None:
        """Whose living generation ``child`` is, if it is one."""
        name, _, generation = child.rpartition(".")
        member = self._frontend.member if name == FRONTEND else self._models.worker(name)
        if member is None or generation != str(member.replica.generation):
            return None
        return member

    def _welcome(self, member: Member) -> ToChild:
        if member.spec is None:
            return self._frontend.welcome()
        prefixes = self._effects.prefixes(member.spec)
        return Start(spec=command.pinned(member.spec), prefixes=prefixes)

    def _on_ready(self, member: Member, ready: BecameReady) -> None:
        self._happen(member, ready)
        if member.held and member.process is not None and member.spec is not None:
            member.process.be_nice_again(command.nice(member.spec, self._models.specs))
        self._sampler.sample(member)
        self._cleanup.limit(member)
        self._sampler.weigh(member)
        if member.spec is None:
            self._frontend.tell_all(self._published.states, self._events.kept)
            self._announcer.on_listening()
        else:
            self._announcer.on_worker_ready(member.spec, member.replica)
        self._tell_status()
        self._announcer.on_somebody_ready(self._published.states, self._frontend.member.replica)

    def _tell_status(self) -> None:
        self._announcer.on_status(self._published.states, self._frontend.member.replica)

    # --- what happens to processes ---

    def _happen(self, member: Member, happening: Happening) -> None:
        actions = member.replica.on(happening, self._effects.now())
        # First, so that no job is on its way to a worker that has been asked to drain.
        if member.spec is None:
            self._published.look()
        else:
            self._published.look_at(member.spec.name)
        for action in actions:
            self._act(member, action)

    def _act(self, member: Member, action: Action) -> None:
        match action:
            case Spawn():
                self._starter.start(member, self._plan.now)
            case AskToDrain(seconds):
                self._sampler.weigh(member)  # by now it takes what serving takes
                if not self._tell(member, Drain(seconds)) and member.process is not None:
                    member.process.send_signal(signal.SIGTERM)  # it has not said hello yet
            case Signal(number, why):
                facts = {"child": member.replica.name, "signal": number.name, "why": why}
                logger.warning("signal", extra=facts)
                if member.process is not None:
                    member.process.send_signal(number)
            case Warn(what):
                logger.warning("limit", extra={"child": member.replica.name, "why": what})

    def _on_exit(self, member: Member, generation: int, end: Exit) -> None:
        now, replica = self._effects.now(), member.replica
        if member.vram is not None:
            member.vram.on_exit(now)
        exited = self._cleanup.exited(member, end, now)
        circumstances = last_state(member, exited)
        member.process = None
        self._happen(member, exited)
        planned = self._stopping or replica.crashed != generation
        level = logging.INFO if planned else logging.ERROR
        facts = {"child": replica.name, "generation": generation, "reason": replica.last_exit}
        logger.log(level, "exited", extra={**facts, "state": replica.state})
        model = member.spec.name if member.spec else None
        self._events.add(
            "replica.exit", model, **facts, planned=planned, **({} if planned else circumstances)
        )
        self._effects.remove_socket(child_id(replica.name, generation))
        self._cleanup.clear(member, self._pids())
        if member.spec is None:
            self._on_frontend_exit(generation)
        else:
            self._on_worker_exit(member.spec, replica)
            if replica.lacked_memory and not planned:
                self._loader.on_lacked_memory(member.spec.name, replica.load_mb)
        self._served.do_due()
        self._stop_workers_when_alone()
        self._tick(member)  # a first restart is due at once

    def _pids(self) -> set[int]:
        """The living children."""
        children = {one.process.pid for one in self._everyone() if one.process is not None}
        return children | self._puller.pids | self._reloader.pids

    def _everyone(self) -> list[Member]:
        return [self._frontend.member, *self._models.workers]

    def _on_frontend_exit(self, generation: int) -> None:
        """Its clients have gone with it: nobody waits for the jobs that it had sent."""
        self._models.on_frontend_gone()
        self._note_sent(Demand([]))
        self._loader.on_frontend_gone()
        self._reloader.on_frontend_gone()
        for member in self._models.workers:
            self._tell(member, Abandon(child_id(FRONTEND, generation)))
        if self._stopping:
            return
        frontend = self._frontend.member.replica
        if frontend.state == "failed":
            logger.error("the frontend cannot start", extra={"reason": frontend.reason})
            self._fail()
        elif (wait_s := (frontend.next_start_at or 0.0) - self._effects.now()) > 0:
            self._tell_status()
            facts = {"restarts": frontend.restarts, "next_start_s": round(wait_s, 1)}
            logger.error("the frontend keeps failing; models stay loaded", extra=facts)

    def _on_worker_exit(self, spec: Spec, replica: Replica) -> None:
        """Where that was asked for, a model that does not start keeps the others from starting."""
        if replica.broke_idle == replica.generation:
            # It may be of one that it has read again: the next would break as well.
            self._effects.keep_prefixes(spec, b"")
        starting = self._plan.now.fail_fast and not self._announcer.all_were_ready
        if starting and not self._stopping and replica.state == "failed":
            logger.error("fail_fast", extra={"model": spec.name, "reason": replica.reason})
            self._fail()

    # --- the end ---

    def _fail(self) -> None:
        self.failed = True
        self.stop()

    def _stop_workers_when_alone(self) -> None:
        """The second half of a stop: the frontend has drained, so nobody needs the workers."""
        if not self._stopping or self._frontend.member.replica.alive:
            return
        for member in self._models.workers:
            if member.replica.state != "draining":
                self._stop(member, WORKER_DRAIN_S)
        alive = any(member.replica.alive for member in self._everyone())
        if not alive and self._puller.is_idle:
            self._effects.end()

    def _stop(self, member: Member, drain_s: float) -> None:
        grace_s = FRONTEND_GRACE_S if member.spec is None else 0.0
        self._happen(member, Stop(drain_s, grace_s))

    # --- what is told ---

    def _tell(self, member: Member, message: ToChild) -> bool:
        return self._effects.send(member.child, message)

    def _tell_states(self, states: list[ModelState]) -> None:
        if self._frontend.tell_states(states):
            self._tell_status()

    def _report(self) -> dict[str, Any]:
        """The full health report, sampled now."""
        now = self._effects.now()
        self._loader.look()
        return {
            **self._effects.measure(),
            "frontend": health.member(self._frontend.member, now),
            "models": health.models(
                self._models.workers,
                self._models.leaving,
                self._models.resting,
                self._published.unavailable,
                self._effects.footprint,
                self._served.terms,
                now,
            ),
        }
