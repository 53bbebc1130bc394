"""What a request handler holds while its job is with a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from frontend.dispatch.budget import Claim
from frontend.dispatch.estimates.standing import Listening, Prefill, Standing
from frontend.dispatch.input.writer import InputWriter
from ipc.messages.errors import Cancelled, OutOfMemory, ServeError
from ipc.messages.events import (
    Audio,
    CallOpened,
    Done,
    Listened,
    Marks,
    Piece,
    Prefilled,
    Reasoning,
    Usage,
)

# Text that waits for one reader, who may only not have had a turn yet: an upstream can send in one
# piece what it took minutes to write. One who reads too slowly is the connection's business.
MAX_HELD_CHARS = 16 << 20
# What is written in a second or so is not counted one by one.
FREE_CHARS = 64 << 10
# What a log probability with its token takes in memory, as so many characters of text.
LOGPROB_CHARS = 256


Fate = Literal["given_back", "worker_died"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """When a worker had a job that it did not end, and what became of it: it was given back
    unbegun, or its worker died and another one goes on with the answer."""

    began_at: float
    ended_at: float
    ended: Fate


class Stream:
    """The events of one job, for one reader. The times are on the monotonic clock.

    Text that waits is added to ``claim``. ``stands`` says where a job stands now, None once it has
    ended; ``told`` is what it said at admission. ``load_s`` is for how long of its wait the job's
    model had no worker, ``attempt`` how often it was handed to one, ``worker_pid`` the last one's,
    ``migrations`` how often another one had to go on with the answer; ``earlier`` are
    the attempts before this one, ``resumed_at`` is when this worker had an answer to go on with.
    ``prompt_tokens`` is the length of its prompt once the worker has told, until then 0,
    ``written_tokens`` what has been written of its answer, ``reasoning_tokens`` among them;
    ``marks`` is what that knew of the job's time as it ended. A job whose input is streamed has an
    ``input`` to write it with.
    """

    def __init__(
        self,
        job_id: str,
        submitted_at: float,
        on_close: Callable[[str], None],
        claim: Claim,
        stands: Callable[[str], Standing | None] = lambda _: None,
    ) -> None:
        self.job_id = job_id
        self.claim = claim
        self.submitted_at = submitted_at
        self.dispatched_at: float | None = None
        self.first_at: float | None = None
        self.done: Done | None = None
        self.told: Standing | None = None
        self.load_s = 0.0
        self.attempt = 0
        self.earlier: tuple[Attempt, ...] = ()
        self.resumed_at: float | None = None
        self.worker_pid: int | None = None
        self.prompt_tokens = self.written_tokens = self.reasoning_tokens = 0
        self.marks: Marks | None = None
        self.input: InputWriter | None = None
        self.migrations = 0
        self._speaks = False  # its worker has said something of the answer
        self._prefilled: tuple[Prefilled, float] | None = None
        self._listened: tuple[Listened, float] | None = None
        self._stands = stands
        self._on_close = on_close
        self._events: list[Piece | Done] = []
        self._held_chars = self._claimed_chars = 0
        self._error: ServeError | None = None
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._silent_at = 0.0

    def standing(self) -> Standing | None:
        """Where the job stands now; None once it has ended, or if nobody knows."""
        return None if self._ended else self._stands(self.job_id)

    def prefill(self, now: float) -> Prefill | None:
        """How far the prompt is read, as was last told of it; None once the answer has begun,
        or goes on with another worker."""
        if self._prefilled is None or self._speaks:
            return None
        told, told_at = self._prefilled
        left_s = max(0.0, told.left_s - (now - told_at))
        return Prefill(
            read_tokens=told.read_tokens, prompt_tokens=told.prompt_tokens, left_s=left_s
        )

    def listening(self, now: float) -> Listening | None:
        """How far the recording is heard, as was last told of it; None where its worker tells
        nothing, or has been followed by another."""
        if self._listened is None:
            return None
        told, told_at = self._listened
        left_s = None if told.left_s is None else max(0.0, told.left_s - (now - told_at))
        return Listening(heard_s=told.heard_s, audio_s=told.audio_s, left_s=left_s)

    async def next(self, timeout_s: float | None = None) -> list[Piece | Done]:
        """Every event that is there, waiting for the first; ``[]`` after ``timeout_s`` of silence.

        Raises the job's `ServeError`, once the deltas before it have been read.
        """
        if not self._events and self._error is None:
            await self._news(timeout_s)
        if self._events:
            events, self._events, self._held_chars = self._events, [], 0
            if self._claimed_chars:
                self._claim_held()
            return events
        if self._error is not None:
            raise self._error
        return []

    async def until_spoken(self) -> None:
        """Returns once there is something to read, or why there will be nothing. Takes nothing."""
        while not self._events and not self._ended:
            await self._news(None)

    async def until_ended(self) -> None:
        """Returns once the job has ended, however it did. Takes nothing."""
        while not self._ended:
            await self._news(None)

    def _news(self, timeout_s: float | None) -> asyncio.Future[None]:
        """Is done once there is something to read, or nothing for ``timeout_s``."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        if timeout_s is not None:
            self._silent_at = loop.time() + timeout_s
            if self._alarm is not None and self._alarm.when() > self._silent_at:
                self._alarm.cancel()
                self._alarm = None
            if self._alarm is None:
                self._alarm = loop.call_at(self._silent_at, self._on_alarm)
        return self._waiter

    def _on_alarm(self) -> None:
        """One timer serves a whole stream: it is put off when it rings, not at each event."""
        self._alarm = None
        loop = asyncio.get_running_loop()
        if loop.time() >= self._silent_at:
            self._wake()
        elif not self._ended:
            self._alarm = loop.call_at(self._silent_at, self._on_alarm)

    def close(self) -> None:
        """The reader is done. Cancels the job unless it has ended; idempotent."""
        if not self._ended:
            self._end(Cancelled("the client closed the request"))
            self._on_close(self.job_id)

    def abort(self, error: ServeError) -> None:
        """Somebody else than the reader ends the job, and the reader is told why."""
        if not self._ended:
            self._end(error)
            self._on_close(self.job_id)
            self._wake()

    @property
    def usage(self) -> Usage | None:
        """What the job has taken; of one that was cut or has failed, as much as was told of it."""
        if self.done is not None:
            return self.done.result.usage
        if not self.prompt_tokens and not self.written_tokens:
            return None
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.written_tokens,
            reasoning_tokens=self.reasoning_tokens,
        )

    # Called by the dispatcher.

    def push(self, event: Piece | Done, now: float) -> None:
        """An event has come from the worker. Nothing comes after `Done`, an error or `close`."""
        if self._ended:
            return
        if self.first_at is None:
            self.first_at = now
            if not isinstance(event, Done):
                self.prompt_tokens = event.prompt_tokens or self.prompt_tokens
        self._speaks = True
        self._events.append(event)
        if isinstance(event, Done):
            self.done = event
            self.marks = event.marks
            self._ended = True
        else:
            self.written_tokens += event.tokens
            if isinstance(event, Reasoning):
                self.reasoning_tokens += event.tokens
            self._held_chars += held_chars(event)
            if self._held_chars > FREE_CHARS:
                self._hold()
        self._wake()

    def hand_over(self, now: float, attempt: int, worker_pid: int | None) -> None:
        """A worker has it, to begin it or to go on with it."""
        self.attempt, self.worker_pid = attempt, worker_pid
        if self.migrations:
            self.resumed_at = now
        else:
            self.dispatched_at = now

    def give_back(self, now: float) -> None:
        """Its worker has not begun it, and another one will."""
        self._attempted(now, "given_back")
        self._prefilled = self._listened = None

    def migrate(self, now: float) -> None:
        """Its worker has died, and another one is to go on with the answer."""
        self._attempted(now, "worker_died")
        self.migrations += 1
        self.resumed_at = self._prefilled = self._listened = None
        self._speaks = False

    def _attempted(self, now: float, ended: Fate) -> None:
        began_at = self.resumed_at if self.migrations else self.dispatched_at
        if began_at is not None:
            self.earlier += (Attempt(began_at, now, ended),)

    def note_prefill(self, told: Prefilled, now: float) -> None:
        """The worker has told how far it is. Nobody is woken for it: whoever waits asks."""
        self._prefilled = told, now
        self.prompt_tokens = told.prompt_tokens

    def note_listened(self, told: Listened, now: float) -> None:
        """The same of a recording."""
        self._listened = told, now

    def fail(self, error: ServeError) -> None:
        """The job has ended without a result."""
        if not self._ended:
            self._end(error)
            self._wake()

    def _hold(self) -> None:
        """Much text waits. Where there is no room for it the job ends, and says so after it."""
        try:
            self._claim_held()
            if self._held_chars > MAX_HELD_CHARS:
                raise OutOfMemory(
                    f"more than {MAX_HELD_CHARS} characters of the answer wait to be read; read "
                    "faster, or ask for a shorter one"
                )
        except OutOfMemory as error:
            self.abort(error)

    def _claim_held(self) -> None:
        held = self._held_chars if self._held_chars > FREE_CHARS else 0
        if held > self._claimed_chars:
            self.claim.add(held - self._claimed_chars)
        elif held < self._claimed_chars:
            self.claim.subtract(self._claimed_chars - held)
        self._claimed_chars = held

    def _end(self, error: ServeError) -> None:
        self._ended = True
        self._error = error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def held_chars(piece: Piece) -> int:
    """What ``piece`` takes in memory, in characters of text; of sound in bytes."""
    if isinstance(piece, Audio):
        return len(piece.data)
    text = piece.name if isinstance(piece, CallOpened) else piece.text
    if not piece.logprobs:
        return len(text)
    return len(text) + LOGPROB_CHARS * sum(1 + len(one.top) for one in piece.logprobs)
