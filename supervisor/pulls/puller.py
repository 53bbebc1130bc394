"""Runs the pulls that `supervisor.pulls.jobs` decides on, and tells of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from ipc.messages.admin import (
    ControlPull,
    EstimatePull,
    GetPull,
    ListPulls,
    PullWish,
    RemoveModel,
    StartPull,
)
from ipc.messages.errors import Conflict, ErrorInfo, InvalidRequest, ServeError, Unavailable
from ipc.messages.spec import Spec
from supervisor.admin.event_log import EventLog
from supervisor.children.process import Exit, python
from supervisor.effects import Child, Effects
from supervisor.pulls import lines
from supervisor.pulls.jobs import Action, Begin, End, Ended, PullJobs
from supervisor.state.pull_book import Job

logger = logging.getLogger(__name__)

# How often an event tells how far a pull is.
EVENT_S = 1.0
# When to ask again for an estimate that the network has kept from being made.
RETRY_S = 30.0

Report = dict[str, Any]
Tell = Callable[[Report | None, ErrorInfo | None], None]
Join = Callable[[Spec, str], None]
Leave = Callable[[str], None]


class Puller:
    """Owns the children that pull. ``environment`` is what a command line needs that is no variable
    of this process; ``join`` has a model served, which has those weights, from now on, and
    ``leave`` one no more, whose files are gone."""

    def __init__(
        self,
        effects: Effects,
        events: EventLog,
        environment: Mapping[str, str],
        join: Join,
        leave: Leave,
    ) -> None:
        self._effects = effects
        self._events = events
        self._environment = environment
        self._join = join
        self._leave = leave
        self._jobs = PullJobs()
        self._children: dict[str, Child] = {}
        self._asked: dict[str, Tell] = {}  # who waits for the answer of which child
        self._told_at: dict[str, float] = {}
        self._stopping = False

    def begin(self) -> None:
        """Go on with what an earlier server has left."""
        self._jobs = PullJobs(self._effects.kept_pulls())

    @property
    def pids(self) -> set[int]:
        """The living children."""
        return {child.pid for child in self._children.values()}

    @property
    def is_idle(self) -> bool:
        return not self._children

    def grant(self, wish: PullWish) -> Report:
        """Do it, and tell how the pull stands then. Raises `ServeError`."""
        now_s = self._effects.wall_s()
        match wish:
            case ListPulls():
                return {"pulls": [self._report(job) for job in self._jobs.book.jobs]}
            case GetPull():
                return self._report(self._jobs.job(wish.id))
            case StartPull():
                self._check()
                job = self._jobs.add(
                    wish.source, now_s, name=wish.name, serve=wish.serve, force=wish.force
                )
            case ControlPull():
                self._check()
                job = self._jobs.control(wish.id, wish.act, now_s)
        self._event(job)
        self.turn()
        return self._report(job)

    def estimate(self, wish: EstimatePull, tell: Tell) -> None:
        """Find out what a pull would take, and ``tell`` it once. Raises `ServeError`."""
        self._check()
        self._asked[self._jobs.estimate(wish.source)] = tell
        self.turn()

    def remove(self, wish: RemoveModel, tell: Tell) -> None:
        """Remove a model's files, and ``tell`` it once. Raises `ServeError`."""
        self._check()
        self._asked[self._jobs.remove(wish.model)] = tell
        self.turn()

    def turn(self) -> None:
        """Start and end what is due by now."""
        if self._stopping:
            return
        for action in self._jobs.due(self._effects.now(), self._effects.wall_s()):
            self._act(action)
        self._keep()

    def stop(self) -> None:
        """End them all; the next server goes on with them."""
        if not self._stopping:
            self._stopping = True
            for action in self._jobs.stop():
                self._act(action)
            self._jobs.changed = True
            self._keep()

    def _act(self, action: Action) -> None:
        match action:
            case Begin():
                self._start(action)
            case End(key, number):
                if (child := self._children.get(key)) is not None:
                    child.send_signal(number)

    def _start(self, action: Begin) -> None:
        key = action.key
        command = msgspec.json.encode(list(action.arguments)).decode()
        argv = [*python("supervisor.cli.job"), "--command", command]
        try:
            self._children[key] = self._effects.run_command(
                key,
                argv,
                self._environment,
                partial(self._on_line, key),
                partial(self._on_exit, key),
            )
        except OSError as error:
            self._on_exit(key, Exit(f"could not be started: {error.strerror}"))
            return
        logger.info("pull", extra={"pull": key, "pid": self._children[key].pid})

    def _on_line(self, key: str, text: str) -> None:
        now = self._effects.now()
        job = self._jobs.on_line(key, text, lines.read(text), now)
        if job is not None and now - self._told_at.get(key, -math.inf) >= EVENT_S:
            self._told_at[key] = now
            self._event(job)

    def _on_exit(self, key: str, end: Exit) -> None:
        self._children.pop(key, None)
        self._told_at.pop(key, None)
        ended = self._jobs.on_exit(key, end.reason, self._effects.wall_s())
        if ended is not None:
            self._on_ended(ended)
        self.turn()

    def _on_ended(self, ended: Ended) -> None:
        if ended.removed is not None:
            self._leave(ended.removed.model)
        if (tell := self._asked.pop(ended.key, None)) is not None:
            found = ended.estimate or ended.removed
            report = msgspec.to_builtins(found) if found else None
            tell(report, None if report else _refusal(ended).info())
        if ended.job is None or self._stopping:
            return
        if ended.job.state == "failed":
            logger.warning("pull_failed", extra={"pull": ended.key, "why": ended.error})
        self._event(ended.job)
        if ended.pulled is not None and ended.job.serve:
            self._join(ended.pulled.spec, ended.pulled.weights)

    def _event(self, job: Job) -> None:
        facts = self._report(job)
        model = facts.pop("model")
        self._events.add("pull.progress", model or None, **facts)

    def _report(self, job: Job) -> Report:
        return self._jobs.told(job, self._effects.now())

    def _keep(self) -> None:
        if self._jobs.changed:
            self._jobs.changed = False
            self._effects.keep_pulls(self._jobs.book)

    def _check(self) -> None:
        if self._stopping:
            raise InvalidRequest("the server is ending")


def _refusal(ended: Ended) -> ServeError:
    """Why there is no estimate, or nothing was removed."""
    if ended.passes:
        return Unavailable(ended.error, retry_after_s=RETRY_S)
    if ended.kind == "remove":
        return Conflict(ended.error)
    return InvalidRequest(ended.error, param="source")
