"""One client's connection: its events in their order, and what they are asked together.

What has been asked is worked on beside the reading, one thing after the other, so that a client
that leaves is noticed and ends the work done for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from frontend.dispatch.budget import Budget, Claim
from frontend.wyoming import frames
from frontend.wyoming.catalog import Catalog
from frontend.wyoming.frames import Event
from frontend.wyoming.recording import Format, Recording
from frontend.wyoming.spoken_text import SpokenText
from frontend.wyoming.work import Work
from ipc.messages.errors import InternalError, InvalidRequest, RequestTimeout, ServeError

logger = logging.getLogger(__name__)

# Between two events of a client for whom nothing is being done. Those who keep a connection ping.
SILENT_S = 120.0
# For a client to take what waits for it, as over HTTP.
UNREAD_S = 30.0
# For a client that is told of a mistake to hear of it.
LINGER_S = 2.0
# What may be asked before the first of it has been answered.
MOST_ASKED = 8

Task = Callable[[], Awaitable[None]]


class Connection:
    """``work_for`` is given how events are sent, and does what is asked."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        catalog: Catalog,
        budget: Budget,
        most_bytes: int,
        work_for: Callable[[Callable[[Event], Awaitable[None]]], Work],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._catalog = catalog
        self._budget = budget
        self._most_bytes = most_bytes
        self._work = work_for(self._send)
        self._asked: asyncio.Queue[Task] = asyncio.Queue(MOST_ASKED)
        self._pending = 0
        self._claims: set[Claim] = set()
        self._wish: Mapping[str, Any] = {}
        self._recording: Recording | None = None
        self._text: SpokenText | None = None
        self._answers: Mapping[str, Callable[[Event], Awaitable[None]]] = {
            "describe": self._describe,
            "ping": self._ping,
            "transcribe": self._transcribe,
            "audio-start": self._audio_start,
            "audio-chunk": self._audio_chunk,
            "audio-stop": self._audio_stop,
            "synthesize": self._synthesize,
            "synthesize-start": self._synthesize_start,
            "synthesize-chunk": self._synthesize_chunk,
            "synthesize-stop": self._synthesize_stop,
            "transcript": self._handle,
        }

    async def answered(self) -> None:
        """Returns once all that has been asked has been answered."""
        await self._asked.join()

    async def run(self) -> str | None:
        """Answer the client until it leaves. Returns the code of the error that it was told."""
        reading = asyncio.create_task(self._read())
        working = asyncio.create_task(self._do())
        try:
            await asyncio.wait({reading, working}, return_when=asyncio.FIRST_COMPLETED)
            ended = reading if reading.done() else working
            await _over(reading, working)  # both: what the client still sends is read once more
            return await self._told(ended.exception())
        finally:
            await _over(reading, working)
            self._let_go()

    def _let_go(self) -> None:
        """Of what has come and is not asked for any more, before it may be claimed by others."""
        self._recording = self._text = None
        while not self._asked.empty():
            self._asked.get_nowait()
        for claim in self._claims:
            claim.release()

    async def _told(self, error: BaseException | None) -> str | None:
        if error is None or isinstance(error, ConnectionError):
            return None
        if not isinstance(error, ServeError):
            logger.error("wyoming_failed", exc_info=error)
            error = InternalError("internal error; the server's log has it")
        with contextlib.suppress(ConnectionError):
            await self._send(frames.failure(error))
            await self._linger()
        return error.code

    async def _linger(self) -> None:
        """Take what the client is still sending: closing on it takes the last word from it."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while await self._reader.read(frames.MAX_LINE_BYTES):
                    pass

    async def _read(self) -> None:
        """Until the client has left. Raises the `ServeError` of what it must not do."""
        while (event := await self._next()) is not None:
            if (answer := self._answers.get(event.type)) is not None:  # others are to be skipped
                await answer(event)

    async def _next(self) -> Event | None:
        read = asyncio.ensure_future(frames.read(self._reader))
        try:
            while True:
                await asyncio.wait({read}, timeout=SILENT_S)
                if read.done():
                    return read.result()
                if not self._pending or self._text is not None:  # which waits for more, too
                    raise RequestTimeout(f"nothing has come for {SILENT_S:g} s")
        finally:
            read.cancel()

    async def _do(self) -> None:
        """What is asked, in its order. Raises the `ServeError` with which one of it ends."""
        while True:
            task = await self._asked.get()
            await task()
            self._pending -= 1
            self._asked.task_done()

    def _ask(self, task: Task) -> None:
        if self._asked.full():
            raise InvalidRequest("too much is asked at once on one connection; wait for answers")
        self._pending += 1
        self._asked.put_nowait(task)

    async def _send(self, event: Event) -> None:
        self._writer.write(frames.encode(event))
        try:
            async with asyncio.timeout(UNREAD_S):
                await self._writer.drain()
        except TimeoutError:
            self._writer.transport.abort()
            raise ConnectionResetError("the client does not read") from None

    # --- what it says of itself ---

    async def _describe(self, _: Event) -> None:
        await self._send(Event("info", self._catalog.info()))

    async def _ping(self, event: Event) -> None:
        text = event.data.get("text")
        await self._send(Event("pong", {"text": text if isinstance(text, str) else None}))

    # --- hearing ---

    async def _transcribe(self, event: Event) -> None:
        self._wish = event.data

    async def _audio_start(self, event: Event) -> None:
        if self._recording is not None:
            raise InvalidRequest("a recording begins before the last one has its audio-stop")
        self._begin(Format.of(event.data))

    async def _audio_chunk(self, event: Event) -> None:
        form = Format.of(event.data)
        recording = self._recording or self._begin(form)
        recording.add(form, event.payload)

    async def _audio_stop(self, _: Event) -> None:
        recording, wish = self._recording, self._wish
        self._wish = {}
        if recording is None:
            raise InvalidRequest("an audio-stop needs an audio-start before it")
        self._recording = None
        self._ask(lambda: self._hear(recording, wish))

    def _begin(self, form: Format) -> Recording:
        claim = self._budget.open()
        self._claims.add(claim)
        self._recording = Recording(form, claim, self._most_bytes)
        return self._recording

    async def _hear(self, recording: Recording, wish: Mapping[str, Any]) -> None:
        await self._work.hear(recording.as_file(), wish)
        self._claims.remove(recording.claim)
        recording.claim.release()

    # --- speaking ---

    async def _synthesize(self, event: Event) -> None:
        """A text as a whole. Within a stream it is that of its chunks once more, for servers that
        know no streams."""
        if self._text is not None:
            if self._text.is_empty:
                self._text.add(_text(event))
            return
        text = SpokenText()
        text.add(_text(event))
        text.end()
        self._speak(text, event, streams=False)

    async def _synthesize_start(self, event: Event) -> None:
        if self._text is not None:
            raise InvalidRequest("a synthesize-start needs a synthesize-stop before it")
        self._text = SpokenText()
        self._speak(self._text, event, streams=True)

    async def _synthesize_chunk(self, event: Event) -> None:
        self._open_text().add(_text(event))

    async def _synthesize_stop(self, _: Event) -> None:
        self._open_text().end()
        self._text = None

    def _open_text(self) -> SpokenText:
        if self._text is None:
            raise InvalidRequest("a synthesize-start must come first")
        return self._text

    def _speak(self, text: SpokenText, event: Event, *, streams: bool) -> None:
        if event.data.get("text_format") not in (None, "text"):
            raise InvalidRequest("`text_format` must be text", param="text_format")
        chosen = self._catalog.chosen(event.data.get("voice"))
        self._ask(lambda: self._work.speak(text, chosen, streams=streams))

    # --- answering ---

    async def _handle(self, event: Event) -> None:
        text, context = _text(event), event.data.get("context")
        known = context if isinstance(context, dict) else {}
        self._ask(lambda: self._work.answer(text, known))


async def _over(*tasks: asyncio.Task[None]) -> None:
    """Cancel what runs of them, and wait until it has ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _text(event: Event) -> str:
    found = event.data.get("text")
    if not isinstance(found, str):
        raise InvalidRequest(f"`text` of a {event.type} must be a string", param="text")
    return found.replace("\0", " ")
