"""A form whose file may be worked on while it comes.

Its fields may stand before the file or behind it, so whoever needs them asks for what there is once
`begin` has returned, and again once all has come.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message

from frontend.dispatch.input.writer import InputWriter
from frontend.dispatch.stream import Stream
from frontend.http.body import of_path, parser_of, unreadable
from frontend.http.form import Form
from frontend.http.request_context import RequestContext
from frontend.uploads.spool import HELD_BYTES, Spool
from ipc.messages.errors import InternalError, InvalidRequest, PayloadTooLarge, ServeError

logger = logging.getLogger(__name__)


class Upload:
    """Reads the form of ``request``, whose one file has at most ``limit_bytes``. Close it."""

    def __init__(self, request: Request, limit_bytes: int) -> None:
        self._request = request
        self._loop = asyncio.get_running_loop()
        self.spool = Spool(RequestContext.of(request.scope).claim)
        self._form = parser_of(_FormOnTheWay, request, limit_bytes, claimed=False)
        self._form.incoming = _Incoming(self.spool, limit_bytes)
        self._declared = int(request.headers.get("content-length") or 0)
        self._began_at = self._loop.time()
        self._reading = asyncio.create_task(self._read())
        self._copying: asyncio.Task[None] | None = None
        self._stream: Stream | None = None
        self._check: Callable[[FormData], None] = lambda _: None

    async def begin(self) -> None:
        """Returns once more of the file has come than is kept in memory, or the whole form has.
        Raises what is wrong with it, as `frontend.http.body.chunks` does, or `InvalidRequest`."""
        held = asyncio.create_task(self._form.incoming.overflows.wait())
        await asyncio.wait({held, self._reading}, return_when=asyncio.FIRST_COMPLETED)
        held.cancel()
        if self._reading.done():
            self._reading.result()

    @property
    def is_whole(self) -> bool:
        """Whether all of the form has come."""
        return self._reading.done()

    @property
    def fields(self) -> FormData:
        """The fields that have come, and the file if it has."""
        return of_path(FormData(self._form.items), self._request)

    @property
    def request_bytes(self) -> int:
        """How long the request says to be; 0 where it does not."""
        return self._declared

    @property
    def rest_s(self) -> float | None:
        """In how many seconds the rest should come, at its pace so far."""
        if not self._declared:
            return None
        took_s = self._loop.time() - self._began_at
        return took_s * (self._declared - self.spool.size) / max(1, self.spool.size)

    async def whole(self) -> FormData:
        """All of the form. Raises as `begin` does."""
        await asyncio.wait({self._reading})
        self._reading.result()
        return self.fields

    async def bytes(self) -> bytes:
        """The file, once all has come."""
        parts = [self.spool.head]
        at = len(parts[0])
        while part := await self.spool.read(at, 1 << 20):
            parts.append(part)
            at += len(part)
        return b"".join(parts)

    def feed(self, stream: Stream, *, told: bool) -> None:
        """Hand the file on behind its job, whose input begins with what is held of it. What goes
        wrong with the upload from now on ends the job. ``told``: its client reads the answer as it
        is made."""
        assert stream.input is not None, "its input is streamed"
        if self._copying is not None:
            self._copying.cancel()
        self._stream = stream
        stream.input.follow(self.spool, len(self.spool.head), told=told)
        self._copying = asyncio.create_task(self._copy(stream, stream.input))

    async def until(self, stream: Stream, *, told: bool) -> None:
        """Returns when the form is whole or its job has ended; where it is ``told`` also once there
        is something to tell. Raises as `begin` does."""
        saying = asyncio.create_task(stream.until_spoken() if told else stream.until_ended())
        try:
            await asyncio.wait({saying, self._reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            saying.cancel()
            await asyncio.wait({saying})
        if self._reading.done():
            self._reading.result()

    def check_at_end(self, check: Callable[[FormData], None]) -> None:
        """``check`` sees all fields once they have come; a `ServeError` of its ends the job."""
        self._check = check

    async def receive(self) -> Message:
        """What comes of the client behind the form: that he has left."""
        await asyncio.wait({self._reading})
        if self._reading.cancelled() or self._reading.exception() is not None:
            await asyncio.Event().wait()  # the job has been told
        return await self._request.receive()

    async def close(self) -> None:
        """Nobody needs it any more; nor what is made of it."""
        tasks = [task for task in (self._reading, self._copying) if task is not None]
        for task in tasks:
            task.cancel()
        if self._stream is not None:
            self._stream.close()
        await asyncio.wait(tasks)
        if not self._reading.cancelled():
            self._reading.exception()  # whoever waited has been told
        await self.spool.close()

    async def _read(self) -> None:
        try:
            await self._form.parse()
            self._check(self.fields)
        except MultiPartException as error:
            raise self._broken(unreadable(error)) from None
        except ServeError as error:
            raise self._broken(error) from None
        except Exception:
            logger.exception("upload_failed")
            broken = InternalError("the server could not take in this upload")
            raise self._broken(broken) from None
        self.spool.end()

    async def _copy(self, stream: Stream, its: InputWriter) -> None:
        try:
            await its.copy()
        except Exception:  # say, of the disk: else the job would wait for the rest for ever
            logger.exception("upload_failed")
            stream.abort(InternalError("the server could not read this upload again"))

    def _broken(self, error: ServeError) -> ServeError:
        """``error``, of which the job has been told."""
        if self._stream is not None:
            self._stream.abort(error)
        return error


class _Incoming(UploadFile):
    """A file that goes to a spool in the turns in which it comes."""

    def __init__(self, spool: Spool, limit_bytes: int) -> None:
        super().__init__(io.BytesIO(), size=0)
        self.overflows = asyncio.Event()
        self._spool = spool
        self._limit_bytes = limit_bytes

    async def write(self, data: bytes) -> None:
        if self._spool.size + len(data) > self._limit_bytes:
            raise PayloadTooLarge(
                f"`file` is over this server's limit of {self._limit_bytes} bytes"
            )
        await self._spool.write(data)
        self.size = self._spool.size
        if self.size > HELD_BYTES:
            self.overflows.set()

    async def seek(self, offset: int) -> None:
        """Where it is read from is the spool's business."""

    async def close(self) -> None:
        """It is the spool's to close."""


class _FormOnTheWay(Form):
    """A form whose one file goes to ``incoming``."""

    incoming: _Incoming

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        kept = self._current_part.file
        if kept is not None:
            kept.file.close()
            if self._current_part.field_name != "file":
                raise InvalidRequest("`file` is required, as a file with a name", param="file")
            self.incoming.filename, self.incoming.headers = kept.filename, kept.headers
            self._current_part.file = self.incoming
