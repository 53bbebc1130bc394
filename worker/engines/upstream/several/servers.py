"""Several servers with the same model as one: each request is sent to one of them.

Which one is decided by `Boxes`, whether another follows by `Attempts`. They are asked each second
how they are while there is work, and seldom else; a single one never is.

An answer that has begun can go on in another of them where all are edge-serves with one vocabulary:
then each names the tokens of what it says. Whoever has asked for it keeps them, and asks again
behind them. Until one of them takes that it is tried again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import httpx2

from ipc.messages.errors import (
    InternalError,
    QueueFull,
    ServeError,
    Unavailable,
    WorkerCrashed,
)
from ipc.messages.events import Piece, Result
from ipc.messages.jobs import Job
from ipc.messages.spec import Loaded
from worker.engines.upstream.client import OnPieces, Upstream, as_ours
from worker.engines.upstream.several.boxes import Boxes
from worker.engines.upstream.several.retrying import Attempts

logger = logging.getLogger(__name__)

BUSY_S = 1.0
IDLE_S = 10.0
# How long an answer to how it is may take.
TOLD_S = 2.0
# What an edge-serve would begin in that has yet to load its model and never has: as long as most.
UNMEASURED_LOAD_S = 5.0
# An answer that has begun is asked for again each so often, for so long.
AGAIN_S = 1.0
PATIENCE_S = 60.0
# What is said of a later beginning is not believed.
_MOST_SECONDS = 1e9

# Learns what is to be known of a server before it is asked.
Meet = Callable[[Upstream], Coroutine[Any, Any, Loaded]]


class Servers:
    """The servers ``all_``, of which at least one has been met; the others are met by ``meet``
    once they are there. An answer that has begun waits for one of them for ``patience_s``."""

    def __init__(
        self, all_: Sequence[Upstream], meet: Meet, patience_s: float = PATIENCE_S
    ) -> None:
        self._all = list(all_)
        self._patience_s = patience_s
        self._meet = meet
        self._boxes = Boxes(len(self._all))
        self._met: dict[int, Loaded] = {}
        self._why_not_met: dict[int, str] = {}
        self._watching: asyncio.Task[None] | None = None
        self._has_work = asyncio.Event()

    @property
    def first(self) -> Upstream:
        return self._all[0]

    @property
    def loaded(self) -> list[Loaded]:
        """What is known of those that have been met."""
        return [self._met[at] for at in sorted(self._met)]

    @property
    def where(self) -> str:
        return ", ".join(each.where for each in self._all)

    @property
    def _names_tokens(self) -> bool:
        """Whether those that have been met have one vocabulary, and tell it."""
        return all(self._all[at].names_tokens for at in self._met)

    async def open(self) -> None:
        """Meet all that are there. Raises what one of them has raised if none is, first what passes
        with time."""
        found = await asyncio.gather(*map(self._try, range(len(self._all))))
        if not self._met:
            errors = [error for error in found if error is not None]
            passing = [one for one in errors if isinstance(as_ours(one), Unavailable | QueueFull)]
            raise (passing or errors)[-1]
        if len(self._all) > 1 and self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def answer(self, job: Job, on_pieces: OnPieces) -> Result:
        """The result of ``job``, what comes before it given to ``on_pieces``. Raises a
        `ServeError`, or what httpx2 raises where a connection fails. One that goes on behind what
        others have written waits for up to ``patience_s`` until one of them takes it."""
        give_up_at = time.monotonic() + (self._patience_s if job.written else 0.0)
        begun = False

        def noted(pieces: Sequence[Piece]) -> None:
            nonlocal begun
            begun = True
            on_pieces(pieces)

        while True:
            if job.written and self._met and not self._names_tokens:
                raise _cannot_go_on()
            try:
                return await self._answered(job, noted)
            except Exception as error:
                passes = isinstance(as_ours(error), Unavailable | QueueFull)
                if begun or not passes or time.monotonic() + AGAIN_S > give_up_at:
                    raise
            await asyncio.sleep(AGAIN_S)

    async def _answered(self, job: Job, on_pieces: OnPieces) -> Result:
        """`answer` by the first that takes it."""
        attempts = Attempts()
        self._has_work.set()
        while (at := self._boxes.ask(time.monotonic(), attempts.tried)) is not None:
            begun = False

            def noted(pieces: Sequence[Piece]) -> None:
                nonlocal begun
                begun = True
                on_pieces(pieces)

            try:
                return await self._asked(at, job, noted)
            except Exception as error:
                known = as_ours(error)
                if not attempts.may_follow(at, known, begun=begun) or self._is_last(attempts):
                    raise
                facts = {"upstream": self._all[at].where, "why": known.code}
                logger.warning("upstream_passed_over", extra={"job": job.id, **facts})
        raise AssertionError("the last attempt raises")

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.gather(*(each.close() for each in self._all))

    def _is_last(self, attempts: Attempts) -> bool:
        return len(attempts.tried) == len(self._all)

    async def _asked(self, at: int, job: Job, on_pieces: OnPieces) -> Result:
        began_at = time.monotonic()
        took_s = None
        try:
            if at not in self._met and (error := await self._try(at)) is not None:
                raise Unavailable(as_ours(error).message, retry_after_s=5.0)
            if job.written and not self._names_tokens:
                raise _cannot_go_on()
            result = await self._all[at].answer(job, on_pieces)
            took_s = time.monotonic() - began_at
        except (httpx2.HTTPError, TimeoutError):
            self._lose(at)
            raise
        except InternalError:  # it may have another key or model by now: so it is met again
            if len(self._all) > 1:
                self._met.pop(at, None)
                self._boxes.leave(at, time.monotonic())
            raise
        finally:
            self._boxes.end(at, took_s)
        return result

    # --- how they are ---

    async def _watch(self) -> None:
        while True:
            await asyncio.gather(*map(self._look, range(len(self._all))))
            self._has_work.clear()
            if self._boxes.in_hand or self._boxes.away:
                await asyncio.sleep(BUSY_S)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_work.wait(), IDLE_S)

    async def _look(self, at: int) -> None:
        """Ask one how it is."""
        if at not in self._met and await self._try(at) is not None:
            return
        server = self._all[at]
        try:
            async with asyncio.timeout(TOLD_S):
                health = await server.told("/health")
        except (ServeError, httpx2.HTTPError, TimeoutError):
            self._lose(at)
            return
        self._boxes.tell(at, time.monotonic(), eta_of(health, server.model))

    def _lose(self, at: int) -> None:
        """It is gone. One that others would go on for is met again: it may have another vocabulary
        when it comes back."""
        self._boxes.leave(at, time.monotonic())
        if self._all[at].vocabulary is not None:
            self._met.pop(at, None)

    async def _try(self, at: int) -> Exception | None:
        """Meet one; returns what keeps it from being met, and has that logged where it is new."""
        try:
            await self._note_met(at)
        except (ServeError, httpx2.HTTPError, TimeoutError) as error:
            self._boxes.leave(at, time.monotonic())
            why = as_ours(error).message
            if len(self._all) > 1 and self._why_not_met.get(at) != why:
                self._why_not_met[at] = why
                facts = {"upstream": self._all[at].where, "why": why}
                logger.warning("upstream_not_met", extra=facts)
            return error
        self._why_not_met.pop(at, None)
        return None

    async def _note_met(self, at: int) -> None:
        """Meet one. Raises `Unavailable` where it has another model than those before it."""
        found = await self._meet(self._all[at])
        if any(found.dimensions != other.dimensions for other in self._met.values()):
            where = self._all[at].where
            raise Unavailable(f"the model at {where} has other dimensions than the one elsewhere")
        self._met[at] = found
        known = [self._all[one] for one in self._met]
        is_one = len({each.vocabulary for each in known}) == 1
        for each in known:
            each.names_tokens = is_one and each.vocabulary is not None


def _cannot_go_on() -> ServeError:
    return WorkerCrashed(
        "the server behind this model has gone in the middle of its answer, and the others do not "
        "have its vocabulary; send the request again",
        retry_after_s=1.0,
    )


def eta_of(health: dict[str, Any], model: str) -> float | None:
    """In how many seconds an edge-serve would begin a request to ``model``, as its /health says;
    None where it does not. One whose worker keeps failing is never begun, and one that has yet to
    load is behind those that are loaded, also where nobody knows how long that takes."""
    models = health.get("models")
    for entry in models if isinstance(models, list) else ():
        if not isinstance(entry, dict) or entry.get("name") != model:
            continue
        if entry.get("state") == "failed":
            return math.inf
        queue = entry.get("queue")
        if not isinstance(queue, dict):
            return None
        eta_s, loads = _seconds(queue.get("eta_s")), entry.get("state") in ("unloaded", "starting")
        return UNMEASURED_LOAD_S if eta_s is None and loads else eta_s
    return None


def _seconds(said: Any) -> float | None:
    """None where it is no number of seconds that could be."""
    is_number = isinstance(said, int | float) and not isinstance(said, bool)
    return float(said) if is_number and 0 <= said <= _MOST_SECONDS else None
