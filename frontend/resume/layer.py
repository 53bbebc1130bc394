"""The layer that lets go of a connection without ending the answer on it.

Stands outside of all others: to these, a client that asks for it never leaves. What it reads is
what they have sent; whoever comes back reads on from where he was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontend.http.request_context import RequestContext
from frontend.resume.held import HeldAnswer, HeldAnswers

logger = logging.getLogger(__name__)

ASKS = b"x-request-resume"


class Resumable:
    """``app``, whose models' answers go on for clients that send ``X-Request-Resume: 1``, if there
    is room for one more; all others end with their clients. The header ``x-stream-id`` says that
    one goes on. What is refused takes no room: anybody can have requests refused."""

    def __init__(self, app: ASGIApp, held: HeldAnswers) -> None:
        self._app = app
        self._held = held
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not _asks(scope):
            await self._app(scope, receive, send)
            return
        answer, source = HeldAnswer(), _Source(receive)
        task = asyncio.create_task(self._produce(scope, source, answer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await source.watch(_deliver(answer, send))
        finally:
            answer.asker_has(None)
            if not answer.held:
                answer.give_up()

    async def _produce(self, scope: Scope, source: _Source, answer: HeldAnswer) -> None:
        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._look(answer, RequestContext.of(scope), message["status"])
            await answer.send(message)

        try:
            await self._app(scope, source.until(answer), send)
        except Exception:
            logger.exception("held_answer_failed", extra={"stream": answer.id})
        finally:
            answer.end()
            self._held.on_end(answer)

    def _look(self, answer: HeldAnswer, context: RequestContext, status: int) -> None:
        answer.key, answer.client = context.key, context.client.name
        if status == 200 and context.stream is not None:
            self._held.admit(answer, context.stream.abort)


def _asks(scope: Scope) -> bool:
    return any(name == ASKS and value == b"1" for name, value in scope["headers"])


async def _deliver(answer: HeldAnswer, send: Send) -> None:
    """The answer to the client that has asked for it. One that breaks off does so here, too."""
    start = await answer.started()
    if start is None:
        return
    await send(start)
    offset = 0
    async for piece in answer.read(0):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        offset += len(piece)
        answer.asker_has(offset)
    if not answer.broken:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Source:
    """What a client sends: its body for the application, that it leaves for nobody but us."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._whole = asyncio.Event()

    def until(self, answer: HeldAnswer) -> Receive:
        """The body, then nothing until the answer is given up."""

        async def receive() -> Message:
            if self._whole.is_set():
                await answer.given_up()
                return {"type": "http.disconnect"}
            message = await self._receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                self._whole.set()
            return message

        return receive

    async def watch(self, delivery: Coroutine[Any, Any, None]) -> None:
        """Deliver until that is done or the client leaves."""
        delivering = asyncio.create_task(delivery)
        leaving = asyncio.create_task(self._left())
        try:
            await asyncio.wait({delivering, leaving}, return_when="FIRST_COMPLETED")
            if delivering.done():
                delivering.result()
        finally:
            delivering.cancel()
            leaving.cancel()

    async def _left(self) -> None:
        await self._whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
