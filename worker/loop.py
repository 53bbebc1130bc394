"""The engine's thread: mail in, steps, events out.

The loop owns the ledger of the jobs in hand, and so the promise that each ends exactly once: an
engine that emits twice, or after a drop, is filtered here; one that breaks has its jobs failed.
Mail and counters cross to the event loop's thread by a queue and by plain integers, no locks.
"""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from ipc.messages.control import Counters
from ipc.messages.errors import (
    Cancelled,
    DeadlineExceeded,
    Draining,
    InternalError,
    InvalidRequest,
    ServeError,
)
from ipc.messages.events import Done, Event, Failed, Marks, Piece, Terminal
from ipc.messages.jobs import Cancel, Job, More, TokenizeInput, is_streamed
from ipc.runtime import heap
from worker.account import Account
from worker.chat.prefixes.rereading import GiveUp, Rereading
from worker.engine import Engine, LoadError
from worker.trim import IdleTrim

logger = logging.getLogger(__name__)

Emit = Callable[[list[Event]], None]
Tell = Callable[[bytes], None]


@dataclass(slots=True)
class Held:
    """A job in hand, and what has become of it so far; times are the loop's clock's."""

    job: Job
    arrived_at: float
    began_at: float | None = None  # when it was first in a step
    first_at: float | None = None  # when the first of its answer was there
    steps_before: int = 0
    early: list[More] = field(default_factory=list)  # input that came before it was admitted

    def marks(self, now: float, steps: int) -> Marks:
        """What is told of it as it ends, ``steps`` being those of the loop so far."""
        since = self.arrived_at
        return Marks(
            began_s=None if self.began_at is None else self.began_at - since,
            first_s=None if self.first_at is None else self.first_at - since,
            ended_s=now - since,
            steps=0 if self.began_at is None else steps - self.steps_before,
        )


@dataclass(frozen=True, slots=True)
class Forget:
    """Nobody waits for this job, nor wants to hear of its end."""

    job: str


Mail = Held | More | Cancel | Forget | None

# The loop looks at deadlines at least this often, and asks an idle engine whether it has to step:
# one whose program has died must not wait for a job to say so.
TICK_S = 0.5


class EngineLoop:
    """Runs one loaded engine until told to finish.

    ``emit`` is called on the engine's thread with the events of one step, at most once a step.
    ``tokenizes`` is whether the engine can be asked for tokens, ``streams_input`` whether it takes
    input in pieces, as it said when it was loaded.
    ``rereading`` is for an engine that keeps prefixes: what it knows goes to ``tell``, too.
    ``give_back`` is called in idle time, to return memory that was freed.
    """

    def __init__(
        self,
        engine: Engine,
        emit: Emit,
        clock: Callable[[], float] = time.monotonic,
        *,
        tokenizes: bool = True,
        streams_input: bool = True,
        rereading: Rereading | None = None,
        tell: Tell = lambda _prefixes: None,
        give_back: Callable[[], None] = heap.give_back,
    ) -> None:
        self._engine = engine
        self._tokenizes = tokenizes
        self._streams_input = streams_input
        self._emit = emit
        self._rereading = rereading
        self._tell = tell
        self._clock = clock
        self._trim = IdleTrim()
        self._give_back = give_back
        self._mail: queue.SimpleQueue[Mail] = queue.SimpleQueue()
        self._jobs: dict[str, Held] = {}  # every job in hand, admitted or not
        self._forgotten: set[str] = set()  # those of a `Forget` that is still in the mailbox
        self._waiting: deque[str] = deque()  # those that the engine has not admitted yet
        self._fresh: list[str] = []  # those admitted since the last step
        self._steps = 0
        self._finishing = False
        self._wait_s: float | None = 0.0  # as the engine said when it was last asked
        self._account = Account()

    # Called from the event loop's thread.

    def offer(self, job: Job) -> None:
        """Take a job in; exactly one `Done` or `Failed` will answer it, unless it is forgotten."""
        self._mail.put(Held(job, self._clock()))

    def more(self, more: More) -> None:
        """Take in a piece of a job's input."""
        self._mail.put(more)

    def cancel(self, job_id: str) -> None:
        """End a job at the next step; it still gets its terminal event."""
        self._mail.put(Cancel(job_id))

    def forget(self, job_id: str) -> None:
        """End a job at the next step. Nothing is told of it from now on: another one may be called
        like it."""
        self._forgotten.add(job_id)
        self._mail.put(Forget(job_id))

    def finish(self) -> None:
        """Refuse what is not begun, complete what is running, then return from `run`."""
        self._mail.put(None)

    def counters(self) -> Counters:
        """The totals so far, readable at any time from any thread."""
        counters = self._account.counters(len(self._jobs) + self._mail.qsize())
        if self._rereading is not None:
            counters = replace(counters, reread_tokens=self._rereading.read_tokens)
        worn = getattr(self._engine, "worn", "")  # a user's own engine may leave it out
        return replace(counters, worn=worn) if worn else counters

    # The engine's thread.

    def run(self) -> None:
        """Step until finished. An exception from the engine ends every job, then is raised; after
        a `LoadError` the caller must end the process at once."""
        try:
            while not (self._finishing and not self._jobs):
                self._turn()
        except LoadError:
            # The model is gone. Its jobs end with the process, as in a crash: failing them here
            # would give their credit back and draw jobs out of the queue to the same end.
            raise
        except Exception:
            self._fail_all()
            raise

    def _turn(self) -> None:
        events = self._read_mail()
        events += self._expire()
        self._read_again()
        events += self._admit()
        self._wait_s = self._engine.wait_s()
        if self._wait_s == 0:
            self._note_begun()
            self._trim.worked()
            self._steps += 1
            events += self._engine.step()
        elif self._wait_s is None and self._trim.due(self._clock()):
            self._give_back()
        self._note_prompts()
        self._account.progress += 1
        self._send(events)

    def _read_mail(self) -> list[Event]:
        """Everything in the mailbox, waiting a while for the first item where nothing was to do."""
        events: list[Event] = []
        if self._wait_s != 0:
            try:
                events += self._open(self._mail.get(timeout=min(self._wait_s or TICK_S, TICK_S)))
            except queue.Empty:
                return events
        while not self._mail.empty():  # nobody else takes from it
            events += self._open(self._mail.get_nowait())
        return events

    def _open(self, mail: Mail) -> list[Event]:
        if mail is None:
            self._finishing = True
            return [self._refuse(job_id) for job_id in list(self._waiting)]
        if isinstance(mail, Cancel):
            return self._end(mail.job, Cancelled("the request was cancelled"))
        if isinstance(mail, More):
            return self._take_in(mail)
        if isinstance(mail, Forget):
            self._forget(mail.job)
            return []
        job_id = mail.job.id
        self._jobs[job_id] = mail
        if self._finishing:
            return [self._refuse(job_id)]
        self._waiting.append(job_id)
        return []

    def _take_in(self, more: More) -> list[Event]:
        held = self._jobs.get(more.job)
        if held is None:
            return []
        if more.job in self._waiting:
            held.early.append(more)
            return []
        return self._feed(more)

    def _feed(self, *pieces: More) -> list[Event]:
        """Hand a job's input to the engine. What is wrong with it ends the job."""
        for more in pieces:
            try:
                self._engine.more(more)
            except ServeError as error:
                return self._end(more.job, error)
            except Exception:
                logger.exception("input_failed", extra={"job": more.job})
                return self._end(more.job, InternalError("the model could not take this input"))
        return []

    def _refuse(self, job_id: str) -> Event:
        self._leave_queue(job_id)
        error = Draining("this worker is shutting down")
        return Failed(job=job_id, error=error.info(), began=False)

    def _expire(self) -> list[Event]:
        now = self._clock()
        late = [job_id for job_id, held in self._jobs.items() if held.job.deadline_at <= now]
        if not late:
            return []
        error = DeadlineExceeded("the request took longer than its time limit")
        return [event for job_id in late for event in self._end(job_id, error)]

    def _end(self, job_id: str, error: ServeError) -> list[Event]:
        if job_id not in self._jobs:
            return []
        self._leave_queue(job_id)
        self._engine.drop(job_id)
        return [Failed(job=job_id, error=error.info())]

    def _forget(self, job_id: str) -> None:
        self._forgotten.discard(job_id)
        if self._jobs.pop(job_id, None) is not None:
            self._leave_queue(job_id)
            self._engine.drop(job_id)

    def _leave_queue(self, job_id: str) -> None:
        if job_id in self._waiting:
            self._waiting.remove(job_id)

    def _admit(self) -> list[Event]:
        events: list[Event] = []
        while self._waiting:
            held = self._jobs[self._waiting[0]]
            job = held.job
            try:
                self._check(job)
                if not self._engine.admit(job):
                    break
                self._fresh.append(job.id)
            except ServeError as error:
                events.append(Failed(job=job.id, error=error.info()))
            except Exception:
                logger.exception("admit_failed", extra={"job": job.id})
                broken = InternalError("the model could not take this request")
                events.append(Failed(job=job.id, error=broken.info()))
            self._waiting.popleft()
            early, held.early = held.early, []
            if self._fresh[-1:] == [job.id]:
                events += self._feed(*early)
        return events

    def _check(self, job: Job) -> None:
        """Raises `InvalidRequest` for what the engine cannot be asked. The frontend knows that too,
        but not of a model that is loaded only once it has been asked."""
        if is_streamed(job.input) and not self._streams_input:
            raise InvalidRequest(
                "this model cannot hear sound while it comes; send it a whole file", param="model"
            )
        if isinstance(job.input, TokenizeInput) and not self._tokenizes:
            raise InvalidRequest(
                "this model cannot be asked for tokens: its engine has no tokenizer of its own",
                param="model",
            )

    def _read_again(self) -> None:
        """Use idle time for what the engine should have in its cache. The jobs for it are none of
        the ledger's: nobody hears of them, and they are dropped for the first that is."""
        if self._rereading is None:
            return
        now, busy = self._clock(), bool(self._jobs)
        wanted = self._rereading.turn(now, busy=busy)
        if isinstance(wanted, GiveUp):
            self._engine.drop(wanted.job_id)
        elif wanted is not None and not self._takes(wanted):
            self._rereading.end(wanted.id, now, well=False)
        if (news := self._rereading.news(now)) is not None:
            self._tell(news)

    def _takes(self, job: Job) -> bool:
        try:
            return self._engine.admit(job)
        except Exception as error:  # say, a prompt of tokens that the model has no more
            logger.warning("not_read_again", extra={"why": str(error)})
            return False

    def _note_prompts(self) -> None:
        if self._rereading is not None:
            for job_id, tokens in self._engine.prompts_begun():
                if job_id in self._jobs:
                    self._rereading.note(tokens)

    def _note_begun(self) -> None:
        if self._fresh:
            now = self._clock()
            for job_id in self._fresh:
                if (held := self._jobs.get(job_id)) is not None:
                    held.began_at, held.steps_before = now, self._steps
            self._fresh.clear()

    def _send(self, events: list[Event]) -> None:
        """Pass on what belongs to jobs in hand, and close the account of those that ended."""
        known: list[Event] = []
        for event in events:
            held = self._jobs.get(event.job)
            if held is None:
                self._note_read(event)
                continue
            if event.job in self._forgotten:
                continue
            if isinstance(event, Terminal):
                del self._jobs[event.job]
                event = self._marked(event, held)
            elif held.first_at is None and isinstance(event, Piece):
                held.first_at = self._clock()
            self._account.count(event)
            known.append(event)
        if known:
            self._emit(known)

    def _note_read(self, event: Event) -> None:
        if self._rereading is not None and isinstance(event, Terminal):
            self._rereading.end(event.job, self._clock(), well=isinstance(event, Done))

    def _marked(self, event: Terminal, held: Held) -> Terminal:
        now = self._clock()
        if isinstance(event, Done) and held.began_at is not None:
            self._account.work_s += now - held.began_at
        return replace(event, marks=held.marks(now, self._steps))

    def _fail_all(self) -> None:
        error = InternalError("the model failed while it worked on this request")
        self._send([Failed(job=job_id, error=error.info()) for job_id in list(self._jobs)])
