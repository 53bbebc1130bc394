"""All live speech of one engine: its runs go before pieces of files."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from ipc.messages.errors import ServeError
from ipc.messages.events import Done, Event, Failed
from ipc.messages.jobs import Job, More, SpeechInput
from worker.hearing.live.clip import LiveClip, LiveRun
from worker.hearing.model import Heard, Model
from worker.hearing.stall import StallClock

FindLanguage = Callable[[SpeechInput], str | None]


class LiveHearing:
    """Owns the live jobs. Each has one run at a time, at one of the model's workers."""

    def __init__(self, model: Model, pool: ThreadPoolExecutor, language: FindLanguage) -> None:
        self._model = model
        self._pool = pool
        self._language = language
        self._clips: dict[str, LiveClip] = {}  # in the order of their turns
        self._runs: dict[Future[list[Heard]], tuple[LiveClip, LiveRun, StallClock]] = {}

    def __len__(self) -> int:
        return len(self._clips)

    @property
    def running(self) -> list[Future[list[Heard]]]:
        return list(self._runs)

    def admit(self, job: Job) -> None:
        """Raises a `ServeError`."""
        assert isinstance(job.input, SpeechInput)
        self._clips[job.id] = LiveClip(job.id, job.input, self._language(job.input))

    def has(self, job_id: str) -> bool:
        return job_id in self._clips

    def more(self, more: More) -> None:
        """Raises the `ServeError` of what it says."""
        said = more.said if isinstance(more.said, SpeechInput) else None
        self._clips[more.job].take(more, self._language(said) if said else None)

    def drop(self, job_id: str) -> None:
        clip = self._clips.pop(job_id, None)
        if clip is not None:
            clip.is_closed = True

    def wait_s(self, now: float) -> float | None:
        """How long until something is to be done; None: not before something comes."""
        if self._runs:
            return 0.0
        waits = [clip.due_in_s(now) for clip in self._clips.values()]
        return min((wait for wait in waits if wait is not None), default=None)

    def read(self) -> list[Event]:
        """What comes of the sound that has come."""
        events: list[Event] = []
        for clip in list(self._clips.values()):
            events += self._noted([*clip.read(), *clip.ended()])
        return events

    def start(self, now: float, workers: int) -> None:
        """Have heard what is due, by so many free workers."""
        for clip in list(self._clips.values()):
            if workers <= 0:
                return
            if clip.due_in_s(now) != 0.0:
                continue
            run = clip.run(now)
            asked = [run.run.piece], run.manner, partial(_wanted, clip)
            hearing = self._pool.submit(self._model.hear, *asked)
            self._runs[hearing] = clip, run, StallClock(now)
            self._clips[clip.job_id] = self._clips.pop(clip.job_id)
            workers -= 1

    def collect(self, now: float) -> list[Event]:
        """What runs have brought that have ended."""
        events: list[Event] = []
        for hearing in [hearing for hearing in self._runs if hearing.done()]:
            clip, run, _ = self._runs.pop(hearing)
            if self._clips.get(clip.job_id) is not clip:
                continue
            try:
                (heard,) = hearing.result()
            except ServeError as error:
                self.drop(clip.job_id)
                events.append(Failed(job=clip.job_id, error=error.info()))
            else:
                events += self._noted(clip.heard(run, heard, now))
        return events

    def stands_still(self, limit_s: float, now: float) -> bool:
        """Whether a run has lasted longer than ``limit_s``."""
        return any(clock.exceeds(limit_s, now) for _, _, clock in self._runs.values())

    def _noted(self, events: list[Event]) -> list[Event]:
        for event in events:
            if isinstance(event, Done):
                self.drop(event.job)
        return events


def _wanted(clip: LiveClip, _: int) -> bool:
    """Whether somebody still waits for the one piece of a run of ``clip``."""
    return not clip.is_closed
