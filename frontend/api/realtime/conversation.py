"""One socket's session: what its client says, and what it is told, in two tasks."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import orjson

from frontend.api.realtime.config import Config, updated
from frontend.api.realtime.server_events import Event, Items, error_event, new_id
from frontend.dispatch.stream import Stream
from frontend.http.socket import Closed, Socket
from frontend.http.values import loose_count
from frontend.live.session import LiveSession, Lost, OpenJob
from frontend.live.sessions import Ending, LiveSessions
from ipc.messages.errors import InvalidRequest, PayloadTooLarge, QueueFull, ServeError
from ipc.messages.jobs import SpeechInput
from ipc.messages.spec import Spec

# OpenAI's.
MAX_APPEND_BYTES = 15 << 20
SESSION_S = 60 * 60.0
# Without sound for so long nobody is there.
IDLE_S = 300.0
# A client that has had to wait for so long sends faster than it is heard.
TOO_FAST_S = 60.0
# A setting of all that there is has some dozens, and a thousand commas in its texts.
MAX_VALUES = 1 << 15
# How soon after the last `commit` another one has nothing: OpenAI's.
MIN_COMMIT_MS = 100

FULL, FAILED, RESTART, NOT_ALLOWED = 1013, 1011, 1012, 1008
IDLE, EXPIRED = 4000, 4001

# The speech model of this name, of this session's client.
FindModel = Callable[[str | None], Spec]
OpenFor = Callable[[Spec], OpenJob]
# Is told of each turn that has ended: its model, its outcome, the seconds that were heard of it.
CountTurn = Callable[[str, str, float], None]


class _End(Exception):
    """The session is over."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


_ENDINGS: Mapping[Ending, tuple[int, str]] = {
    "stopping": (RESTART, "the server is stopping"),
    "key_changed": (NOT_ALLOWED, "this API key is not what it was when the session began"),
}


class _Unheard(Exception):
    """Nobody hears what comes, for the reason of ``error``."""

    def __init__(self, error: ServeError) -> None:
        super().__init__(error.message)
        self.error = error


class Conversation:
    """Owns the session. ``find`` finds its model, ``open_for`` makes what hands a job over,
    ``count`` is told of each turn that has ended."""

    def __init__(
        self,
        socket: Socket,
        model: str | None,
        find: FindModel,
        open_for: OpenFor,
        sessions: LiveSessions,
        count: CountTurn,
        key: str | None = None,
    ) -> None:
        self._socket = socket
        self._config = Config(model=model)
        self._find = find
        self._open_for = open_for
        self._sessions = sessions
        self._count = count
        self._key = key
        self._place = ExitStack()
        self._spec: Spec | None = None
        self._live = LiveSession(self._open, self._config.asked)
        self._items = Items()
        self._id = new_id("sess")
        self._began_at = time.monotonic()
        self._expires_at = int(time.time() + SESSION_S)  # as it is told
        self._buffered_bytes = 0
        self._heard_at = time.monotonic()
        self._over = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Until one side ends it. Whatever was wrong is told to the client."""
        tasks = [asyncio.create_task(act()) for act in (self._listen, self._tell, self._watch)]
        try:
            with self._place, self._sessions.ended_by(self._stop, self._key):
                done, _ = await asyncio.wait(
                    [*tasks, self._over], return_when=asyncio.FIRST_COMPLETED
                )
                await next(iter(done))
        except _End as end:
            await self._socket.close(end.code, end.reason)
        except Closed:
            pass
        finally:
            self._live.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _stop(self, why: Ending) -> None:
        if not self._over.done():
            self._over.set_exception(_End(*_ENDINGS[why]))

    # --- what the client is told ---

    async def _say(self, event: Event) -> None:
        await self._socket.send(orjson.dumps({"event_id": new_id("event"), **event}).decode())

    async def _tell(self) -> None:
        async for event in self._live.events():
            if isinstance(event, Lost):
                for turn in event.turns:
                    self._note_end(event.error.code)
                    await self._say(self._items.fail(turn, event.error))
                if not event.turns:
                    await self._say(error_event(event.error))
                continue
            if event.what == "committed" and self._config.turns is not None:
                # Not where the client commits: what has come since is of its next turn.
                self._buffered_bytes = 0
            if event.what == "ended":
                self._note_end("revised" if event.revised else "ok", event.at_ms / 1000)
            await self._say(self._items.tell(event))

    def _note_end(self, outcome: str, heard_s: float = 0.0) -> None:
        if self._spec is not None:
            self._count(self._spec.name, outcome, heard_s)

    async def _watch(self) -> None:
        """Ends a session that is idle or has lasted."""
        while True:
            now = time.monotonic()
            left_s = self._began_at + SESSION_S - now
            if left_s <= 0:
                raise _End(EXPIRED, f"a session lasts {SESSION_S / 60:.0f} minutes")
            if now - self._heard_at >= IDLE_S:
                raise _End(IDLE, f"no sound for {IDLE_S:.0f} s")
            await asyncio.sleep(max(0.05, min(left_s, IDLE_S - (now - self._heard_at))))

    # --- what it says ---

    async def _listen(self) -> None:
        try:
            self._take_place()
            await self._say({"type": "session.created", "session": self._document()})
            while True:
                await self._take(await self._socket.receive())
        except _Unheard as unheard:
            error = unheard.error
            await self._say(error_event(error))
            code = FULL if isinstance(error, QueueFull) else FAILED
            raise _End(code, error.message) from None

    async def _take(self, message: str | bytes) -> None:
        """One event; what is wrong with it is told, and the session goes on."""
        culprit: str | None = None
        try:
            event = _parsed(message)
            culprit = _text(event, "event_id")
            await self._obey(event)
        except ServeError as error:
            await self._say(error_event(error, culprit))

    async def _obey(self, event: dict[str, Any]) -> None:
        match event.get("type"):
            case "input_audio_buffer.append":
                await self._append(_sound(event))
            case "input_audio_buffer.commit":
                await self._commit()
            case "input_audio_buffer.clear":
                self._buffered_bytes = 0
                await self._live.clear()
            case "session.update":
                await self._update(event.get("session"))
            case _:
                raise InvalidRequest(
                    "`type` must be session.update, or input_audio_buffer.append, .commit or "
                    ".clear: the others are of sessions that answer",
                    param="type",
                )

    async def _append(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        self._buffered_bytes += len(data)
        appending = asyncio.ensure_future(self._live.append(data))
        try:
            done, _ = await asyncio.wait([appending], timeout=TOO_FAST_S)
            if not done:
                error = TooFast(
                    f"sound comes faster than it is heard: {TOO_FAST_S:.0f} s wait; send it slower"
                )
                await self._say(error_event(error))
            await appending
        finally:
            appending.cancel()
        self._heard_at = time.monotonic()

    async def _commit(self) -> None:
        if self._buffered_bytes * 1000 < MIN_COMMIT_MS * self._config.bytes_a_second:
            raise CommitEmpty(f"the buffer has less than {MIN_COMMIT_MS} ms of sound to commit")
        self._buffered_bytes = 0
        await self._live.commit()

    async def _update(self, given: Any) -> None:
        config = updated(self._config, given)
        if config.model != self._config.model:
            if self._live.has_begun:
                raise InvalidRequest(
                    "the model cannot change once sound has come; open another session",
                    param="session.audio.input.transcription.model",
                )
            self._find(config.model)
        changed, self._config = config != self._config, config
        self._take_place()
        if changed:
            await self._live.retune(config.asked)
        await self._say({"type": "session.updated", "session": self._document()})

    def _take_place(self) -> None:
        """One of the model's, once that is known. Raises `_Unheard` where it has none."""
        try:
            spec = self._find(self._config.model)
        except ServeError:
            if self._config.model is not None:
                raise
            return  # it may be named yet
        if self._spec is None or self._spec.name != spec.name:
            self._place.close()
            try:
                self._place.enter_context(self._sessions.place(spec))
            except QueueFull as error:
                raise _Unheard(error) from None
            self._spec = spec

    def _open(self, asked: SpeechInput) -> Stream:
        spec = self._find(self._config.model)
        try:
            return self._open_for(spec)(asked)
        except ServeError as error:
            raise _Unheard(error) from None

    def _document(self) -> dict[str, Any]:
        return self._config.document(self._id, self._expires_at)


class CommitEmpty(InvalidRequest):
    """There is nothing to commit."""

    code = "input_audio_buffer_commit_empty"


class TooFast(InvalidRequest):
    """More sound waits than may."""

    code = "audio_too_fast"


def _parsed(message: str | bytes) -> dict[str, Any]:
    raw = message.encode() if isinstance(message, str) else message
    if loose_count(raw) > MAX_VALUES:
        raise PayloadTooLarge(f"an event has more than {MAX_VALUES} values")
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise InvalidRequest("an event must be JSON") from None
    if not isinstance(event, dict):
        raise InvalidRequest("an event must be an object")
    return event


def _text(event: dict[str, Any], name: str) -> str | None:
    value = event.get(name)
    return value if isinstance(value, str) and len(value) <= 512 else None


def _sound(event: dict[str, Any]) -> bytes:
    audio = event.get("audio")
    if not isinstance(audio, str):
        raise InvalidRequest("`audio` must be sound in base64", param="audio")
    if len(audio) > MAX_APPEND_BYTES:
        raise PayloadTooLarge(f"`audio` is over {MAX_APPEND_BYTES} bytes", param="audio")
    try:
        return base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("`audio` must be sound in base64", param="audio") from None
