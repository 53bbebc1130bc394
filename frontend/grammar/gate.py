"""Forms of answers are compiled here first, so that no worker hears of one that cannot be kept.

A worker compiles between the steps of all its answers, and one of the engines fails for good on a
grammar that it does not take. Here that costs one thread, and the requests of others go on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from frontend.grammar.second_opinion import objection
from ipc.grammar.forms import FormError, compile_form
from ipc.messages.errors import InvalidRequest, QueueFull
from ipc.messages.jobs import Form

# The largest form takes 1 s; who waits longer waits for others.
DEADLINE_S = 2.0
MAX_WAITING = 32
_KEPT = 1024


class AskedForm(NamedTuple):
    """A form, and the key of the request that asks for it."""

    form: Form
    param: str


class _Verdict(NamedTuple):
    """``dropped`` are pointers of what is not kept; ``refusal`` is why all of it is not."""

    dropped: tuple[str, ...] = ()
    refusal: str | None = None


class Gate:
    """Knows which forms can be kept. It belongs to one event loop at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="grammar")
        self._waiting = 0
        # By the digest of a form: clients send a few, over and over.
        self._verdicts: OrderedDict[bytes, _Verdict] = OrderedDict()

    async def check(self, asked: Iterable[AskedForm]) -> tuple[str, ...]:
        """What of the forms is dropped, as they are not strict: JSON pointers.

        Raises `InvalidRequest` for one that cannot be kept, `QueueFull` where too many others are
        looked at.
        """
        dropped: list[str] = []
        for form, param in asked:
            verdict = await self._verdict(form)
            if verdict.refusal is not None:
                raise InvalidRequest(f"`{param}` cannot be kept: {verdict.refusal}", param=param)
            dropped += verdict.dropped
        return tuple(dropped)

    async def _verdict(self, form: Form) -> _Verdict:
        key = hashlib.sha256(msgspec.json.encode(form)).digest()
        known = self._verdicts.get(key)
        if known is None:
            known = self._verdicts[key] = await self._judged(form)
            if len(self._verdicts) > _KEPT:
                self._verdicts.popitem(last=False)
        self._verdicts.move_to_end(key)
        return known

    async def _judged(self, form: Form) -> _Verdict:
        if self._waiting >= MAX_WAITING:
            raise _busy()
        self._waiting += 1
        running = asyncio.get_running_loop().run_in_executor(self._thread, _judge, form)
        running.add_done_callback(self._on_judged)
        try:
            return await asyncio.wait_for(asyncio.shield(running), DEADLINE_S)
        except TimeoutError:
            running.cancel()
            raise _busy() from None

    def _on_judged(self, done: asyncio.Future[_Verdict]) -> None:
        self._waiting -= 1
        if not done.cancelled():
            done.exception()  # whoever waited has it, or has left


def _judge(form: Form) -> _Verdict:
    try:
        found = compile_form(form)
    except FormError as error:
        return _Verdict(refusal=f"{error.pointer} {error}" if error.pointer else str(error))
    except RecursionError:
        return _Verdict(refusal="it is nested too deeply")
    said = objection(found.rules)
    return _Verdict(found.dropped) if said is None else _Verdict(refusal=f"it is too large: {said}")


def _busy() -> QueueFull:
    return QueueFull("too many grammars are being compiled; try again", retry_after_s=1.0)
