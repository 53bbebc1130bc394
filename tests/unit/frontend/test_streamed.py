"""Answers from within that are read while they are made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Receive, Scope, Send

from frontend.in_process import Asked
from frontend.streamed import answering
from ipc.messages.errors import InternalError

ASKED = Asked("POST", "/x", body=b"question")
App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def begin(send: Send, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})


async def say(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def test_a_part_is_read_before_the_next_is_made() -> None:
    made: list[int] = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"question"
        await begin(send, 201)
        for number in range(20):
            made.append(number)
            await say(send, bytes([number]))
        await say(send, b"", more=False)

    async def history() -> None:
        async with answering(app, ASKED, {}) as streamed:
            assert streamed.status == 201
            parts = streamed.parts()
            assert await anext(parts) == b"\0"
            assert len(made) <= 4
            assert b"".join([part async for part in parts]) == bytes(range(1, 20))

    asyncio.run(history())


def test_an_answer_that_breaks_off_is_told_from_one_that_ends() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await begin(send)
        await say(send, b"half")

    async def nothing(_: Scope, __: Receive, ___: Send) -> None:
        return

    async def history() -> None:
        for one in (app, nothing):
            async with answering(one, ASKED, {}) as streamed:
                with pytest.raises(InternalError):
                    await streamed.whole()
        assert streamed.status == 0

    asyncio.run(history())


def test_who_stops_reading_has_left() -> None:
    ended: list[str] = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await begin(send)
        leaving = asyncio.ensure_future(receive())
        while not leaving.done():
            await say(send, b"more")
            await asyncio.sleep(0)
        ended.append((await leaving)["type"])

    async def history() -> None:
        async with answering(app, ASKED, {}) as streamed:
            assert await anext(streamed.parts()) == b"more"
        assert ended == ["http.disconnect"]

    asyncio.run(history())
