"""A worker that is made up: it takes jobs within its credit, and ends them as was recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from ipc.messages.blob import Blob
from ipc.messages.errors import InternalError
from ipc.messages.events import (
    ChatResult,
    Delta,
    Done,
    EmbedResult,
    Event,
    Failed,
    Result,
    SpeechResult,
    Usage,
)
from ipc.messages.jobs import Job
from ipc.messages.state import Route
from tests.bench.simulation.catalog import Model
from tests.bench.simulation.clock import Clock

# One token, which names itself: whoever goes on with an answer has to know where.
_FIRST = [0]


class Worker:
    """One generation of a model's worker. ``tokens`` says how long the answer to a job is, ``tell``
    takes its events, and ``on_idle`` is called once it drains and has nothing in hand."""

    def __init__(
        self,
        model: Model,
        route: Route,
        clock: Clock,
        tokens: Callable[[str], int],
        tell: Callable[[Sequence[Event]], None],
        on_idle: Callable[[], None],
    ) -> None:
        self.route = route
        self.dead = False
        self._model = model
        self._clock = clock
        self._tokens = tokens
        self._tell = tell
        self._on_idle = on_idle
        self._draining = False
        self._running: dict[str, Job] = {}
        self._held: deque[Job] = deque()

    @property
    def in_hand(self) -> int:
        return len(self._running) + len(self._held)

    def take(self, job: Job) -> None:
        assert not self.dead, "sent to a worker that is dead"
        assert self.in_hand < self.route.credit, "more than it has credit for"
        if self._draining:
            self._clock.after(0.0, partial(self._give_back, job))
            return
        self._held.append(job)
        self._begin()

    def drain(self) -> None:
        """It gives back what it has not begun, and ends with the rest."""
        self._draining = True
        unbegun, self._held = list(self._held), deque()
        for job in unbegun:
            self._give_back(job)
        self._look()

    def _give_back(self, job: Job) -> None:
        if not self.dead:
            error = InternalError("the worker drains").info()
            self._tell([Failed(job=job.id, error=error, began=False)])

    def _begin(self) -> None:
        while self._held and len(self._running) < self._model.spec.slots:
            job = self._held.popleft()
            self._running[job.id] = job
            kind, beside = self._model.kind, len(self._running)
            self._clock.after(kind.read_s, partial(self._read, job, beside))

    def _read(self, job: Job, beside: int) -> None:
        """The first token is there, of an answer that has several."""
        if self.dead:
            return
        written = sum(map(len, job.written.values()))
        left = self._tokens(job.id) - written - 1
        if self._model.kind.task != "chat" or left <= 0:
            self._end(job)
            return
        self._clock.after(self._model.kind.write_s(left, beside), partial(self._end, job))
        self._tell([Delta(job=job.id, text="a", ids=_FIRST, prompt_tokens=25)])

    def _end(self, job: Job) -> None:
        if self.dead:
            return
        del self._running[job.id]
        self._begin()
        self._tell([Done(job.id, _result(self._model, self._tokens(job.id)))])
        self._look()

    def _look(self) -> None:
        if self._draining and not self.in_hand and not self.dead:
            self.dead = True
            self._on_idle()


def _result(model: Model, tokens: int) -> Result:
    usage = Usage(prompt_tokens=25, completion_tokens=tokens)
    match model.kind.task:
        case "chat":
            return ChatResult(finish="stop", usage=usage)
        case "embed":
            return EmbedResult(vectors=Blob(b""), count=0, dimensions=0, usage=usage)
        case _:
            return SpeechResult(
                text="", language="en", duration_s=11.0, segments=[], words=None, usage=usage
            )
