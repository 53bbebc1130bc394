"""What a request handler holds while its job is with a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from frontend.dispatch.budget import Claim
from frontend.dispatch.estimates.standing import Prefill, Standing
from ipc.messages.errors import Cancelled, OutOfMemory, ServeError
from ipc.messages.events import Audio, CallOpened, Done, Piece, Prefilled

# Text that waits for one reader, who may only not have had a turn yet: an upstream can send in one
# piece what it took minutes to write. One who reads too slowly is the connection's business.
MAX_HELD_CHARS = 16 << 20
# What is written in a second or so is not counted one by one.
FREE_CHARS = 64 << 10
# What a log probability with its token takes in memory, as so many characters of text.
LOGPROB_CHARS = 256


class Stream:
    """The events of one job, for one reader. The times are on the monotonic clock.

    Text that waits is added to ``claim``. ``stands`` says where a job stands now, None once it has
    ended; ``told`` is what it said at admission. ``load_s`` is for how long of its wait the job's
    model had no worker.
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
        self._prefilled: tuple[Prefilled, float] | None = None
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
        """How far the prompt is read, as was last told of it; None once the answer has begun."""
        if self._prefilled is None or self.first_at is not None:
            return None
        told, told_at = self._prefilled
        left_s = max(0.0, told.left_s - (now - told_at))
        return Prefill(
            read_tokens=told.read_tokens, prompt_tokens=told.prompt_tokens, left_s=left_s
        )

    async def next(self, timeout_s: float | None = None) -> list[Piece | Done]:
        """Every event that is there, waiting for the first; ``[]`` after ``timeout_s`` of silence.

        Raises the job's `ServeError`, once the deltas before it have been read.
        """
        if not self._events and self._error is None:
            await self._wait(timeout_s)
        if self._events:
            events, self._events, self._held_chars = self._events, [], 0
            self._claim_held()
            return events
        if self._error is not None:
            raise self._error
        return []

    async def _wait(self, timeout_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        if timeout_s is not None:
            self._silent_at = loop.time() + timeout_s
            if self._alarm is not None and self._alarm.when() > self._silent_at:
                self._alarm.cancel()
                self._alarm = None
            if self._alarm is None:
                self._alarm = loop.call_at(self._silent_at, self._on_alarm)
        try:
            await waiter
        finally:
            self._waiter = None

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

    # Called by the dispatcher.

    def push(self, event: Piece | Done, now: float) -> None:
        """An event has come from the worker. Nothing comes after `Done`, an error or `close`."""
        if self._ended:
            return
        if self.first_at is None:
            self.first_at = now
        self._events.append(event)
        if isinstance(event, Done):
            self.done = event
            self._ended = True
        else:
            self._held_chars += held_chars(event)
            if self._held_chars > FREE_CHARS:
                self._hold()
        self._wake()

    def note_prefill(self, told: Prefilled, now: float) -> None:
        """The worker has told how far it is. Nobody is woken for it: whoever waits asks."""
        self._prefilled = told, now

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
