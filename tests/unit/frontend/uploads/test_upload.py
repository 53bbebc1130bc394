"""Forms on their way: what is known of them when, where their file is, and how they end."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from frontend.dispatch.budget import Budget
from frontend.dispatch.input.writer import InputWriter
from frontend.dispatch.stream import Stream
from frontend.http import body
from frontend.http.request_context import RequestContext
from frontend.uploads.spool import HELD_BYTES, Spool
from frontend.uploads.upload import Upload
from ipc import spool
from ipc.messages.errors import (
    Cancelled,
    InternalError,
    InvalidRequest,
    RequestTimeout,
    ServeError,
    Unavailable,
)
from ipc.messages.jobs import More

MODEL = b'--cut\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
FILE = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
END = b"\r\n--cut--\r\n"
LIMIT_BYTES = 4 << 20


class Client:
    """One that sends a form, part by part."""

    def __init__(self, declared: int | None = None) -> None:
        self.budget = Budget(1 << 30)
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        headers = [(b"content-type", b"multipart/form-data; boundary=cut")]
        headers += [] if declared is None else [(b"content-length", b"%d" % declared)]
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        RequestContext.begin(scope, self.budget)
        self.upload = Upload(Request(scope, self._messages.get), LIMIT_BYTES)
        self.sent: list[More] = []
        self.cancelled: list[str] = []
        self.has_last = asyncio.Event()

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self._messages.put_nowait({"type": "http.request", "body": part, "more_body": True})

    def end(self) -> None:
        self._messages.put_nowait({"type": "http.request", "body": END, "more_body": False})

    def leave(self) -> None:
        self._messages.put_nowait({"type": "http.disconnect"})

    def stream(self) -> Stream:
        """A job that takes all that it is sent, at once."""
        found = Stream("a", 0.0, self.cancelled.append, self.budget.open())

        def take(more: More) -> None:
            self.sent.append(more)
            writer.use(more.number + 1)
            if more.last:
                self.has_last.set()

        found.input = writer = InputWriter("a", take, is_file=True)
        return found


def run(what: Callable[[Client], Awaitable[None]], declared: int | None = None) -> None:
    async def within() -> None:
        client = Client(declared)
        try:
            async with asyncio.timeout(30):
                await what(client)
        finally:
            await client.upload.close()

    asyncio.run(within())


def test_a_short_form_is_whole_when_it_begins() -> None:
    async def send(client: Client) -> None:
        client.send(FILE, b"RIFF")
        client.end()
        await client.upload.begin()
        assert client.upload.is_whole
        assert await client.upload.bytes() == b"RIFF"

    run(send)


def test_of_a_long_one_the_fields_before_the_file_are_known() -> None:
    async def send(client: Client) -> None:
        client.send(MODEL, FILE, bytes(HELD_BYTES + 1))
        await client.upload.begin()
        assert not client.upload.is_whole
        assert client.upload.fields.getlist("model") == ["m"]
        client.send(b"abc")
        client.end()
        await client.upload.whole()
        assert await client.upload.bytes() == bytes(HELD_BYTES + 1) + b"abc"

    run(send)


def test_its_rest_should_come_at_its_pace_so_far() -> None:
    async def send(client: Client) -> None:
        client.send(FILE, bytes(2 << 20))
        await client.upload.begin()
        rest_s = client.upload.rest_s
        assert rest_s is not None
        assert 0 < rest_s < 30

    run(send, declared=4 << 20)


def test_only_its_beginning_counts_as_memory() -> None:
    async def send(client: Client) -> None:
        client.send(FILE, bytes(2 << 20))
        client.end()
        await client.upload.whole()
        assert client.budget.held_bytes <= HELD_BYTES

    run(send)


def test_the_file_follows_its_job() -> None:
    async def send(client: Client) -> None:
        client.send(FILE, bytes(HELD_BYTES + 1))
        await client.upload.begin()
        stream = client.stream()
        client.upload.feed(stream, told=False)
        client.send(b"abc")
        client.end()
        await client.upload.whole()
        await client.has_last.wait()
        assert b"".join(more.data.data for more in client.sent) == b"\0abc"

    run(send)


async def fails(client: Client, with_: type[ServeError]) -> None:
    """Both the upload and its job."""
    client.send(FILE, bytes(HELD_BYTES + 1))
    await client.upload.begin()
    stream = client.stream()
    client.upload.feed(stream, told=True)
    client.send(b"\r\n--cut\r\nno header\r\n\r\n") if with_ is InvalidRequest else None
    client.leave() if with_ is Cancelled else None
    with pytest.raises(with_):
        await client.upload.whole()
    with pytest.raises(with_):
        await stream.next()
    assert client.cancelled == ["a"]


@pytest.mark.parametrize("error", [InvalidRequest, Cancelled, RequestTimeout])
def test_what_goes_wrong_with_it_ends_its_job(
    error: type[ServeError], monkeypatch: pytest.MonkeyPatch
) -> None:
    if error is RequestTimeout:
        monkeypatch.setattr(body, "READ_TIMEOUT_S", 0.2)
    run(lambda client: fails(client, error))


def test_a_disk_that_cannot_be_read_ends_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Spool, "_read", broken)

    async def send(client: Client) -> None:
        client.send(FILE, bytes(HELD_BYTES + 9))
        client.end()
        await client.upload.whole()
        stream = client.stream()
        client.upload.feed(stream, told=False)
        with pytest.raises(InternalError):
            await stream.next()
        assert client.cancelled == ["a"]

    run(send)


def test_a_file_in_another_field_is_refused_before_it_is_taken_in() -> None:
    async def send(client: Client) -> None:
        client.send(FILE.replace(b'"file"', b'"audio"'), bytes(HELD_BYTES + 9))
        with pytest.raises(InvalidRequest, match="`file`"):
            await client.upload.begin()
        assert client.upload.spool.size == 0

    run(send)


def test_a_full_disk_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "KEPT_FREE_BYTES", 1 << 62)

    async def send(client: Client) -> None:
        client.send(FILE, bytes(HELD_BYTES + (64 << 10)))
        with pytest.raises(Unavailable, match="TMPDIR"):
            await client.upload.whole()

    run(send)


def test_a_recording_is_in_no_other_folder_than_the_one_that_was_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "away"))
    with pytest.raises(Unavailable, match="TMPDIR"):
        spool.open_unnamed()
    (tmp_path / "away").mkdir()
    with spool.open_unnamed() as file:
        assert os.fstat(file.fileno()).st_dev == tmp_path.stat().st_dev
        assert os.fstat(file.fileno()).st_nlink == 0
        assert not list((tmp_path / "away").iterdir())


def test_what_is_closed_takes_nothing_and_gives_nothing() -> None:
    async def use() -> None:
        kept = Spool(Budget(1 << 30).open())
        await kept.write(bytes(HELD_BYTES + 9))
        await kept.close()
        await kept.write(b"more")
        assert await kept.read(HELD_BYTES, 9) == b""

    asyncio.run(use())
