"""Has the configuration read again by another process, and takes over what has changed.

    asked for --> reading --plan--> compared --> taken over --> answered
                     |                 |
                     +--error          +--dry run: answered, and nothing else

Whatever is asked for while a reading runs waits for the next one: the files may have changed since.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ipc.messages.admin import Reload, Told
from ipc.messages.errors import (
    InternalError,
    InvalidRequest,
    ModelNotFound,
    ServeError,
    Unavailable,
)
from ipc.messages.spec import Spec
from supervisor.admin.event_log import EventLog
from supervisor.children.process import Exit, python
from supervisor.effects import Child, Effects
from supervisor.plan import Plan, Reading
from supervisor.reload.changes import Changes, changes, merged

logger = logging.getLogger(__name__)

# Reading takes a second; files whose times have changed are read whole, which takes as long as a
# disk does. Fetching takes as long as a network does.
READ_S = 120.0
FETCH_S = 6 * 3600.0
# Under what name its output is kept.
READER = "reader"
# How many wishes may wait for the next reading.
MOST_WAITING = 64

Report = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """A wish, and the number under which the frontend waits for its answer; None: nobody waits.
    ``fetches``: what is missing is to be fetched."""

    wish: Reload
    number: int | None = None
    fetches: bool = True


@dataclass(slots=True)
class _Reader:
    """A process that reads for whoever ``asked``, or fetches those models. ``served`` are the ones
    that were when it began: what it reads says nothing of others that have joined since."""

    out: Path
    end_at: float
    asked: list[Asked] = field(default_factory=list)
    fetch: list[str] = field(default_factory=list)
    served: frozenset[str] = frozenset()
    child: Child | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What the reloader knows of the server that it is part of, and what that does for it.

    ``served`` are the models by their names; ``has_room`` is whether the new workers of a spec fit
    beside the old ones; ``take_over`` puts a plan in force with those changes, by these specs, the
    named models with downtime.
    """

    plan: Callable[[], Plan]
    served: Callable[[], Mapping[str, Spec]]
    has_room: Callable[[Spec], bool]
    take_over: Callable[[Plan, Sequence[Spec], Changes, list[str]], None]
    tell: Callable[[Told], None]


class Reloader:
    """Owns the processes that read and fetch. To be called each turn of the timers (`tick`)."""

    def __init__(self, effects: Effects, events: EventLog, server: Server) -> None:
        self._effects = effects
        self._events = events
        self._server = server
        self._waiting: list[Asked] = []
        self._readers: list[_Reader] = []
        self._count = 0
        self._ended = False

    @property
    def pids(self) -> set[int]:
        """The living processes."""
        return {one.child.pid for one in self._readers if one.child is not None}

    @property
    def is_reading(self) -> bool:
        """Whether somebody reads the files now, as they may have been before."""
        return any(not one.fetch for one in self._readers)

    def ask(self, wish: Reload, number: int | None = None) -> None:
        """Grant ``wish``, now or once the present reading has ended."""
        asked = Asked(wish, number)
        if len(self._waiting) >= MOST_WAITING:
            busy = Unavailable("the configuration is being read again", retry_after_s=5.0)
            self._answer(asked, error=busy)
            return
        self._waiting.append(asked)
        self._begin()

    def on_frontend_gone(self) -> None:
        """Nobody waits for an answer any more; what was asked for is done all the same."""
        self._waiting = [replace(one, number=None) for one in self._waiting]
        for reader in self._readers:
            reader.asked = [replace(one, number=None) for one in reader.asked]

    def tick(self, now: float) -> None:
        """End whoever takes too long."""
        for one in self._readers:
            if now >= one.end_at and one.child is not None:
                one.child.send_signal(signal.SIGKILL)

    def end(self) -> None:
        """The server stops: nothing is taken over any more."""
        self._ended = True
        self._waiting.clear()
        for one in self._readers:
            if one.child is not None:
                one.child.send_signal(signal.SIGKILL)

    # --- the processes ---

    def _begin(self) -> None:
        """Have the files read for all who wait, unless they are being read."""
        if self._waiting and all(one.fetch for one in self._readers) and not self._ended:
            asked, self._waiting = self._waiting, []
            self._start(READ_S, asked, [])

    def _start(self, within_s: float, asked: list[Asked], fetch: list[str]) -> None:
        self._count += 1
        plan = self._server.plan()
        out = Path(plan.run_dir) / f"reading-{self._count}.json"
        served = frozenset(self._server.served())
        reader = _Reader(out, self._effects.now() + within_s, asked, fetch, served)
        argv = [*python("supervisor.launch.replan"), "--out", str(out)]
        argv += [part for name in fetch for part in ("--fetch", name)]
        self._readers.append(reader)
        try:
            argv += ["--plan", str(self._effects.leave(plan))]
            reader.child = self._effects.start(
                READER, argv, os.environ, [], lambda end: self._on_exit(reader, end)
            )
        except OSError as error:
            self._on_exit(reader, Exit(f"could not be started: {error.strerror}"))

    def _on_exit(self, reader: _Reader, end: Exit) -> None:
        self._readers.remove(reader)
        reading = self._effects.reading(reader.out)
        if self._ended:
            return
        for asked in reader.asked:
            self._grant(asked, reader, reading, end)
        if reader.fetch:
            self._on_fetched(reader.fetch, reading, end)
        self._begin()

    def _on_fetched(self, models: list[str], reading: Reading | None, end: Exit) -> None:
        """What is here by now is taken over; what is not is tried again at the next reload."""
        failed = dict.fromkeys(models, end.reason) if reading is None else reading.missing
        for model in models:
            why = {"why": failed[model]} if model in failed else {}
            level = logging.ERROR if why else logging.INFO
            logger.log(level, "fetched", extra={"model": model, **why})
            self._events.add("config.fetched", model, **why)
        self._waiting.append(Asked(Reload(), fetches=False))

    # --- what was read ---

    def _grant(self, asked: Asked, reader: _Reader, reading: Reading | None, end: Exit) -> None:
        try:
            if reading is None and self._effects.now() >= reader.end_at:
                raise Unavailable(
                    f"the configuration could not be read within {READ_S:g} s; is one of its files "
                    "a pipe, or on a mount that does not answer? Nothing has changed"
                )
            if reading is None:
                raise InternalError(f"the configuration could not be read: {end.reason}")
            if reading.plan is None:
                raise InvalidRequest(f"{reading.error}; nothing has changed")
            report = self._compare(asked, reading, reading.plan, reader.served)
        except ServeError as error:
            logger.error("config_refused", extra={"why": error.message})
            if not asked.wish.dry_run:
                self._events.add("config.refused", asked.wish.model, why=error.message)
            self._answer(asked, error=error)
        else:
            self._answer(asked, report=report)

    def _compare(
        self, asked: Asked, reading: Reading, new: Plan, before: Collection[str]
    ) -> Report:
        """What has changed for the models that were there ``before`` it was read, taken over unless
        it is a dry run."""
        wish = asked.wish
        found, missing = self._found(wish, reading, new, before)
        specs = {spec.name: spec for spec in new.serve.specs}
        crowded = [name for name in found.updated if not self._server.has_room(specs[name])]
        fetched = missing if asked.fetches else []
        if not wish.dry_run:
            done = found if wish.downtime else found.without(crowded)
            self._tell_of(wish, reading, done)
            left = [] if wish.downtime else crowded
            plan = _in_force(self._server.plan(), new, reading.missing, asked, left)
            self._server.take_over(plan, new.serve.specs, done, crowded)
            self._fetch(fetched)
        return {
            "dry_run": wish.dry_run,
            **msgspec.to_builtins(found),
            "downtime": crowded,
            "left": [] if wish.downtime else crowded,
            "fetched": fetched,
            "unavailable": {} if wish.model else new.unavailable,
            "warnings": reading.warnings,
        }

    def _found(
        self, wish: Reload, reading: Reading, new: Plan, before: Collection[str]
    ) -> tuple[Changes, list[str]]:
        """The changes that are wished for, and the models of which files are missing."""
        known = {*before, *(spec.name for spec in new.serve.specs)}
        served = {name: one for name, one in self._server.served().items() if name in known}
        missing = sorted(reading.missing)
        found = changes(self._server.plan(), served, new, reading.missing)
        if wish.model is None:
            return found, missing
        if wish.model not in served and wish.model not in [*found.added, *missing]:
            raise ModelNotFound(f"neither this server nor its catalog has {wish.model!r}")
        return found.of(wish.model), [name for name in missing if name == wish.model]

    def _tell_of(self, wish: Reload, reading: Reading, done: Changes) -> None:
        for warning in reading.warnings:
            logger.warning("config", extra={"warning": warning})
        facts = msgspec.to_builtins(done)
        logger.info("config_reloaded", extra={"model": wish.model, **facts})
        self._events.add("config.reloaded", wish.model, **facts)

    def _fetch(self, models: list[str]) -> None:
        under_way = {name for reader in self._readers for name in reader.fetch}
        if models := [name for name in models if name not in under_way]:
            self._start(FETCH_S, [], models)

    def _answer(
        self, asked: Asked, report: Report | None = None, error: ServeError | None = None
    ) -> None:
        if asked.number is not None:
            info = error.info() if error else None
            self._server.tell(Told(id=asked.number, report=report, error=info))


def _in_force(
    old: Plan, new: Plan, missing: Mapping[str, str], asked: Asked, left: Collection[str]
) -> Plan:
    """The plan from now on; where one model alone was asked for, the ``old`` one with its files.
    Models that are ``left`` as they were keep their values."""
    values = new.values | {name: old.values[name] for name in left if name in old.values}
    if (model := asked.wish.model) is not None:
        weights = old.weights | _only(model, new.weights)
        values = old.values | _only(model, values)
        return msgspec.structs.replace(old, weights=weights, values=values)
    why = dict.fromkeys(missing, "its files are being fetched") if asked.fetches else missing
    unavailable = {**new.unavailable, **why}
    return msgspec.structs.replace(merged(old, new), unavailable=unavailable, values=values)


def _only(model: str, found: Mapping[str, T]) -> dict[str, T]:
    return {model: found[model]} if model in found else {}
