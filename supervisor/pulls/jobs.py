"""Which pulls are to run, and how each of them stands; pure.

    waiting --a place is free--> running --pulled--> finished
       ^                          |  |  +--its last words--> failed
       +--resume-- paused <-pause-+  +--cancel--> cancelled, and what it had fetched is removed

Each runs as a child process of the server. `PullJobs` is told what operators wish and what the
children say, and says what is to be done with them (`due`). One that is to end gets SIGTERM, later
SIGKILL. Estimates, which fetch nothing, and removals of models are children of the same kind, for
whose answers somebody waits. Times are monotonic seconds.
"""

from __future__ import annotations

import math
import signal
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from ipc.messages.errors import Conflict, NotFound, QueueFull
from supervisor.pulls.lines import Line, NotPulled, NotRemoved, Progressed, Pulled, Removed
from supervisor.pulls.lines import Looked as LookedLine
from supervisor.state.pull_book import ENDED, Book, Job, Looked

# Pulls at once: a disk and a line are shared, and more would only take turns.
AT_ONCE = 2
# Jobs that have not ended, and those that are remembered when they have.
MOST_OPEN = 16
MOST_ENDED = 50
# Of estimates as of removals; who waits for one is answered within this time.
ANSWERS_AT_ONCE = 2
ANSWER_S = 90.0
# How long a child may take to end before it is killed.
GRACE_S = 5.0
# Over what time the rate of a download is told.
RATE_S = 10.0
_WORDS = 20

Act = Literal["pause", "resume", "cancel"]
Kind = Literal["pull", "estimate", "remove", "discard"]
_ANSWERED: tuple[Kind, ...] = ("estimate", "remove")


@dataclass(frozen=True, slots=True)
class Begin:
    """Start the child ``key``: the command line with these arguments."""

    key: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class End:
    key: str
    number: signal.Signals


Action = Begin | End


@dataclass(slots=True)
class _Child:
    """A process that was asked for, until it has ended."""

    key: str
    kind: Kind
    arguments: tuple[str, ...]
    job: Job | None = None
    began: float = 0.0
    end_at: float = math.inf  # when it was asked to end
    killed: bool = False
    words: deque[str] = field(default_factory=lambda: deque(maxlen=_WORDS))
    last: Pulled | NotPulled | LookedLine | Removed | NotRemoved | None = None
    samples: deque[tuple[float, int]] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a child of that ``kind``: of which ``job``, the model that is ``pulled`` or
    ``removed``, or the ``estimate``; else the ``error``, and whether it ``passes``: that of a child
    which has not said why it ends is nobody's wrong question."""

    key: str
    kind: Kind
    job: Job | None = None
    pulled: Pulled | None = None
    estimate: LookedLine | None = None
    removed: Removed | None = None
    error: str = ""
    passes: bool = False


class PullJobs:
    """Owns the jobs. ``book`` is what an earlier server has left: what ran then waits now."""

    def __init__(self, book: Book | None = None) -> None:
        self.book = book or Book()
        self._children: dict[str, _Child] = {}
        self._wanted: deque[_Child] = deque()  # other children than pulls that are to be started
        self._answers = 0
        self.changed = False  # whether there is anything new that is to be kept
        for job in self.book.jobs:
            if job.state == "running":
                job.state = "waiting"

    # --- what operators wish ---

    def add(
        self, source: str, now_s: float, *, name: str = "", serve: bool = True, force: bool = False
    ) -> Job:
        """A new job, or the open one of the same source. ``now_s`` is in seconds since 1970. Raises
        `QueueFull`."""
        opened = [job for job in self.book.jobs if job.state not in ENDED]
        for job in opened:
            if (job.source, job.name) == (source, name):
                return job
        if len(opened) >= MOST_OPEN:
            raise QueueFull(f"{len(opened)} pulls are open already; cancel one", retry_after_s=60.0)
        self.book.count += 1
        job = Job(
            id=f"pull-{self.book.count}",
            source=source,
            name=name,
            serve=serve,
            force=force,
            created_at=now_s,
            changed_at=now_s,
        )
        self.book.jobs.append(job)
        self._forget()
        self.changed = True
        return job

    def estimate(self, source: str) -> str:
        """Have it found out what a pull would take; returns the key of its child. Raises
        `QueueFull`."""
        return self._answered("estimate", ("pull", "--dry-run", "--progress", "json", "--", source))

    def remove(self, model: str) -> str:
        """Have the files of a model removed; returns and raises as `estimate`."""
        return self._answered("remove", ("rm", "--force", "--progress", "json", "--", model))

    def control(self, job_id: str, act: Act, now_s: float) -> Job:
        """Raises `NotFound`, and `Conflict` for what cannot be done with it as it stands."""
        job = self.job(job_id)
        allowed: dict[Act, Sequence[str]] = {
            "pause": ("waiting", "running", "paused"),
            "resume": ("paused", "failed", "waiting", "running"),
            "cancel": ("waiting", "running", "paused", "failed", "cancelled"),
        }
        if job.state not in allowed[act]:
            raise Conflict(f"{job.id} is {job.state}; there is nothing to {act}")
        match act:
            case "pause":
                self._set(job, "paused", now_s)
            case "resume" if job.state in ("paused", "failed"):
                job.error, job.unreached = "", False
                self._set(job, "waiting", now_s)
            case "cancel" if job.state != "cancelled":
                self._set(job, "cancelled", now_s)
                if job.id not in self._children:
                    self._discard(job)
        return job

    def job(self, job_id: str) -> Job:
        """Raises `NotFound`."""
        for job in self.book.jobs:
            if job.id == job_id:
                return job
        raise NotFound(f"there is no pull {job_id!r}; GET /admin/pulls lists them")

    # --- what children say ---

    def on_line(self, key: str, text: str, line: Line | None, now: float) -> Job | None:
        """A child has said this: a ``line`` of ours, or other words. Returns the job that stands
        otherwise than before."""
        child = self._children.get(key)
        if child is None:
            return None
        if line is None:
            child.words.append(text)
            return None
        if not isinstance(line, Progressed):
            child.last = line
        return self._noted(child, line, now) if child.job is not None else None

    def on_exit(self, key: str, reason: str, now_s: float) -> Ended | None:
        """The child has ended. Returns what came of it, where that matters to anybody."""
        child = self._children.pop(key, None)
        if child is None:
            return None
        last = child.last
        said = last.error if isinstance(last, NotPulled | NotRemoved) else ""
        error = said or _last_words(child, reason)
        match last:
            case LookedLine() if child.kind == "estimate":
                return Ended(key, child.kind, estimate=last)
            case Removed() if child.kind == "remove":
                return Ended(key, child.kind, removed=last)
        if child.kind in _ANSWERED:
            passes = last.unreached if isinstance(last, NotPulled) else not said
            return Ended(key, child.kind, error=error, passes=passes)
        return None if child.job is None else self._on_pull_exit(child, child.job, error, now_s)

    def _on_pull_exit(self, child: _Child, job: Job, error: str, now_s: float) -> Ended:
        if isinstance(child.last, Pulled):
            was_wanted = job.state != "cancelled"  # else that has come too late
            self._set(job, "finished", now_s)
            return Ended(child.key, "pull", job, pulled=child.last if was_wanted else None)
        if job.state == "cancelled":
            self._discard(job)
        elif job.state == "running":
            job.error = error
            job.unreached = isinstance(child.last, NotPulled) and child.last.unreached
            self._set(job, "failed", now_s)
        return Ended(child.key, "pull", job, error=error)

    # --- what is to be done ---

    def due(self, now: float, now_s: float) -> list[Action]:
        """A `Begin` counts as done once it is said; its child is there until it has ended."""
        actions: list[Action] = [*self._ending(now)]
        while self._wanted:
            child = self._wanted.popleft()
            child.began = now
            self._children[child.key] = child
            actions.append(Begin(child.key, child.arguments))
        for job in self.book.jobs:
            if self._pulling() >= AT_ONCE:
                break
            if job.state == "waiting" and job.id not in self._children:
                child = _Child(job.id, "pull", _arguments(job), job, now)
                self._children[child.key] = child
                self._set(job, "running", now_s)
                actions.append(Begin(child.key, child.arguments))
        return actions

    def stop(self) -> list[Action]:
        """The server ends: what runs now waits for the next one."""
        for job in self.book.jobs:
            if job.state == "running":
                job.state = "waiting"
        return [End(key, signal.SIGTERM) for key in self._children]

    def told(self, job: Job, now: float) -> dict[str, Any]:
        """How the job stands, JSON-ready, with its rate and when it will be done, if it runs."""
        rate = self._rate(job, now)
        left = max(0, job.total_bytes - job.done_bytes)
        return {
            **msgspec.to_builtins(job),
            "bytes_per_s": rate and round(rate),
            "eta_s": round(left / rate, 1) if rate else None,
        }

    # --- how it is done ---

    def _ending(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for child in self._children.values():
            late = child.kind in _ANSWERED and now - child.began >= ANSWER_S
            unwanted = child.job is not None and child.job.state != "running"
            if (late or unwanted) and child.end_at == math.inf:
                child.end_at = now
                actions.append(End(child.key, signal.SIGTERM))
            elif now - child.end_at >= GRACE_S and not child.killed:
                child.killed = True
                actions.append(End(child.key, signal.SIGKILL))
        return actions

    def _noted(self, child: _Child, line: Line, now: float) -> Job | None:
        job = child.job
        assert job is not None
        if isinstance(line, LookedLine):
            facts = msgspec.structs.asdict(line)
            job.model = facts.pop("model")
            job.looked = Looked(**facts)
            self.changed = True
        elif isinstance(line, Progressed):
            job.model, job.doing = line.model, line.doing
            if line.total_bytes:
                job.done_bytes, job.total_bytes = line.done_bytes, line.total_bytes
                child.samples.append((now, line.done_bytes))
                while now - child.samples[0][0] > RATE_S:
                    child.samples.popleft()
        return job

    def _rate(self, job: Job, now: float) -> float | None:
        """Bytes a second of late; None while nobody knows."""
        child = self._children.get(job.id)
        if child is None or job.state != "running" or not child.samples:
            return None
        begin, had = child.samples[0]
        took = now - begin
        return max(0, job.done_bytes - had) / took if took > 0 else None

    def _pulling(self) -> int:
        return sum(one.kind not in _ANSWERED for one in self._children.values())

    def _answered(self, kind: Kind, arguments: tuple[str, ...]) -> str:
        """A child for whose answer somebody waits."""
        children = [*self._children.values(), *self._wanted]
        if sum(one.kind == kind for one in children) >= ANSWERS_AT_ONCE:
            raise QueueFull("others of the same are being made; try again soon", retry_after_s=5.0)
        self._answers += 1
        key = f"{kind}-{self._answers}"
        self._wanted.append(_Child(key, kind, arguments))
        return key

    def _discard(self, job: Job) -> None:
        if job.model:
            arguments = ("rm", "--partial", "--", job.model)
            self._wanted.append(_Child(f"{job.id}-discard", "discard", arguments))

    def _set(self, job: Job, state: Any, now_s: float) -> None:
        if job.state != state:
            job.state, job.changed_at, self.changed = state, now_s, True

    def _forget(self) -> None:
        """The oldest of those that have ended, where there are too many."""
        ended = [job for job in self.book.jobs if job.state in ENDED]
        for job in ended[: max(0, len(ended) - MOST_ENDED)]:
            self.book.jobs.remove(job)


def _arguments(job: Job) -> tuple[str, ...]:
    """What comes from outside stands after the options, so that it is taken for none."""
    name = (f"--name={job.name}",) if job.name else ()
    options = [f"--{name}" for name in ("serve", "force") if getattr(job, name)]
    return ("pull", "--progress", "json", *name, *options, "--", job.source)


def _last_words(child: _Child, reason: str) -> str:
    """What it has said last, beside how it has ended."""
    said = " ".join(" ".join(child.words).split())[-500:]
    return f"{reason}: {said}" if said else reason
