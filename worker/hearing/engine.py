"""Everything of speech in that is not a matter of the library which hears."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ipc.engine_options import SpeechOptions
from ipc.messages.errors import InternalError, InvalidRequest, ServeError
from ipc.messages.events import Event, Failed
from ipc.messages.jobs import Job, More, SpeechInput
from ipc.messages.spec import Loaded, Spec
from worker.audio import decode
from worker.audio.cut import LONGEST_S, Part, Piece
from worker.engine import Engine, LoadError, Stage
from worker.hearing import asked
from worker.hearing.stall import StallClock

if TYPE_CHECKING:
    from worker.hearing.clip import Clip, Numbered
    from worker.hearing.live.hearing import LiveHearing
    from worker.hearing.model import Heard, Manner, Model

logger = logging.getLogger(__name__)

# A step waits no longer for batches in hand, so that a new job or a cancellation need not either.
_POLL_S = 0.02
# Pieces that wait, of all recordings: half a minute each, 1.9 MB.
_PIECES_AHEAD = 16
# Half minutes that have been read and not cut, of all recordings: 1 MB each.
_READ_AHEAD = 32


class HearingEngine(Engine):
    """An `Engine` for speech in, made of the `Model` that it opens.

    Recordings are heard in pieces, each by itself. They take turns, piece by piece, at as many
    workers as the model has, and pieces that are to be heard alike share a batch. A file may still
    be on its way while its first pieces are heard.
    """

    def __init__(self) -> None:
        self._model: Model | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._live: LiveHearing | None = None
        self._clips: dict[str, Clip] = {}  # in the order of their turns
        self._running: dict[Future[list[Heard]], _Batch] = {}
        self._slots = 0
        self._unread = False  # live sound has come
        self._stall_s = 0.0
        self._options = SpeechOptions()

    def open(self, spec: Spec, stage: Stage) -> tuple[SpeechOptions, Model]:
        """The model at ``spec.path``, and the options of ``spec``. Raises `LoadError`."""
        raise NotImplementedError

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._slots = spec.slots
        self._stall_s = spec.stall_s
        self._options, self._model = self.open(spec, stage)
        model = self._model
        stage("first window")
        _prove(model, spec.path)
        self._pool = ThreadPoolExecutor(model.workers, "speech")
        self._live = _live(model, self._pool)
        return Loaded(
            device=model.device,
            context_tokens=model.max_tokens,
            languages=model.languages or None,
            translates="translation" not in model.traits.lacks,
            detail=model.detail,
            streams_input=True,
        )

    def admit(self, job: Job) -> bool:
        from worker.hearing.clip import Clip

        assert self._model is not None
        assert self._live is not None
        if len(self._clips) + len(self._live) >= self._slots:
            return False
        if not isinstance(job.input, SpeechInput):
            raise InvalidRequest("this model transcribes audio; it answers nothing else")
        if job.input.live is not None:
            self._live.admit(job)
            return True
        self._clips[job.id] = Clip(
            job.id,
            job.input,
            asked.language_of(job.input, self._model.languages, self._model.traits),
            self._model.traits,
            voice_only=self._options.vad,
            max_audio_s=self._options.max_audio_s,
        )
        return True

    def more(self, more: More) -> None:
        if self._live is not None and self._live.has(more.job):
            self._live.more(more)
            self._unread = True
        elif (clip := self._clips.get(more.job)) is not None:
            clip.come(more)

    def wait_s(self) -> float | None:
        has_work = any(not clip.is_starving for clip in self._clips.values())
        if has_work or self._running or self._unread:
            return 0.0
        return self._live.wait_s(time.monotonic()) if self._live is not None else None

    def step(self) -> list[Event]:
        assert self._live is not None
        events = self._start_live(self._live)
        events += self._take_in()
        events += self._fill()
        is_idle = not events and not self._cut_ahead()
        in_hand = [*self._running, *self._live.running]
        wait(in_hand, _POLL_S if is_idle else 0, FIRST_COMPLETED)
        now = time.monotonic()
        events += self._live.collect(now)
        finished = [future for future in self._running if future.done()]
        running = [future for future in self._running if not future.done()]
        events += [event for future in finished for event in self._collect(future)]
        if self._live.stands_still(self._stall_s, now) or any(
            self._running[future].stands_still(self._stall_s, now) for future in running
        ):
            raise RuntimeError(f"a piece of audio has taken more than {self._stall_s:g} s")
        return events

    def drop(self, job_id: str) -> None:
        """A batch in hand cannot be broken off; what it brings of the job comes to nothing."""
        if self._live is not None:
            self._live.drop(job_id)
        clip = self._clips.pop(job_id, None)
        if clip is not None:
            clip.close()

    def close(self) -> None:
        for job_id in list(self._clips):
            self.drop(job_id)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._model = self._live = None

    def _start_live(self, live: LiveHearing) -> list[Event]:
        """Live speech is heard first, so that its words come while they are said. Only the read of
        a file that has no sound goes before it, which takes a moment."""
        assert self._model is not None
        self._unread = False
        events = live.read()
        if self._is_to_be_read:
            return events
        free = self._model.workers - len(self._running) - len(live.running)
        live.start(time.monotonic(), free)
        return events

    @property
    def _workers(self) -> int:
        """How many there are for files. Where somebody speaks one of several is kept free: a batch
        in hand cannot be broken off."""
        assert self._model is not None
        assert self._live is not None
        live = len(self._live.running)
        kept = 1 if len(self._live) and not live else live
        return self._model.workers - min(kept, self._model.workers - 1)

    def _take_in(self) -> list[Event]:
        """What has come of files that are still on their way."""
        events: list[Event] = []
        for clip in list(self._clips.values()):
            events += self._or_failed(clip, clip.take_in)
        return events

    @property
    def _is_to_be_read(self) -> bool:
        """Whether workers are to come to rest, so that a file can be read."""
        return any(clip.lacks_sound for clip in self._clips.values())

    def _fill(self) -> list[Event]:
        """Give each free worker a batch. Files are read while no worker is busy, since the cap on
        memory is the process's; that comes when a recording has no more sound, and then all are
        read ahead. What has been read is cut while the workers are busy."""
        assert self._model is not None
        assert self._pool is not None
        assert self._live is not None
        is_busy = self._running or self._live.running
        if not is_busy and (clip := self._to_read()) is not None:
            return self._read(clip)
        if self._is_to_be_read:
            return []
        if ended := self._cut_first():
            return ended
        # No worker rests while another has several pieces (guided self-scheduling, Polychronopoulos
        # and Kuck 1987).
        share = ceil(sum(len(clip.waiting) for clip in self._clips.values()) / self._workers)
        while len(self._running) < self._workers and (batch := self._batch(share)):
            pieces = [numbered.piece for _, numbered in batch.taken]
            hearing = self._pool.submit(self._model.hear, pieces, batch.manner, batch.wanted)
            self._running[hearing] = batch
        return []

    def _to_read(self) -> Clip | None:
        """The clip whose file is to be read on: the one with the least sound."""
        clips = [clip for clip in self._clips.values() if clip.can_be_read]
        least = min(clips, key=lambda clip: len(clip.uncut), default=None)
        if least is None or len(least.uncut) >= max(1, _READ_AHEAD // len(self._clips)):
            return None
        return least

    def _cut_first(self) -> list[Event]:
        """Cut half a minute of each clip that has no piece. What ends so is a recording at whose
        end nobody speaks."""
        events: list[Event] = []
        for clip in list(self._clips.values()):
            if not clip.waiting and clip.can_be_cut:
                clip.cut()
            events += self._ended(clip)
        return events

    def _cut_ahead(self) -> bool:
        """Cut half a minute of the clip with the fewest pieces; whether there was one to cut."""
        clips = [clip for clip in self._clips.values() if clip.can_be_cut]
        fewest = min(clips, key=lambda clip: len(clip.waiting), default=None)
        if fewest is None or len(fewest.waiting) >= max(1, _PIECES_AHEAD // len(self._clips)):
            return False
        fewest.cut()
        return True

    def _read(self, clip: Clip) -> list[Event]:
        def read() -> list[Event]:
            clip.read()
            return []

        return self._or_failed(clip, read)

    def _or_failed(self, clip: Clip, work: Callable[[], list[Event]]) -> list[Event]:
        """What comes of ``work``; an error of its ends the recording, and no other."""
        why: ServeError
        try:
            return work()
        except ServeError as error:
            why = error
        except Exception:
            logger.exception("recording_failed", extra={"job": clip.job_id})
            why = InternalError("the model could not read this recording")
        self.drop(clip.job_id)
        return [Failed(job=clip.job_id, error=why.info())]

    def _batch(self, share: int) -> _Batch | None:
        """At most ``share`` pieces that are to be heard alike, one of each clip in its turn and
        then another, of as many clips as there are; the first in turn has one in any case.

        A batch cannot be broken off, so it is half as long where others wait for its end.
        """
        assert self._model is not None
        ready = [clip for clip in self._clips.values() if clip.is_ready]
        if not ready:
            return None
        manner = ready[0].manner
        alike = [clip for clip in ready if clip.manner == manner]
        full = self._model.batch
        most = 1 if ready[0].needs_language else min(full, share)
        left_s = LONGEST_S * (max(2, full // 2) if len(self._clips) > 1 else full)
        taken: list[tuple[Clip, Numbered]] = []
        while len(taken) < most and left_s > 0 and any(clip.is_ready for clip in alike):
            for clip in [clip for clip in alike if clip.is_ready][: most - len(taken)]:
                if left_s > 0:
                    taken.append((clip, clip.take()))
                    left_s -= taken[-1][1].piece.seconds
        for clip, _ in taken:
            self._to_the_back(clip)
        return _Batch(manner, taken, StallClock(time.monotonic()))

    def _collect(self, future: Future[list[Heard]]) -> list[Event]:
        """What a batch brings to those of its clips that are still there."""
        batch = self._running.pop(future)
        events: list[Event] = []
        try:
            found = future.result()
        except ServeError as error:
            lost = {clip.job_id for clip, _ in batch.taken if self._has(clip)}
            for job_id in lost:
                self.drop(job_id)
            return [Failed(job=job_id, error=error.info()) for job_id in lost]
        for (clip, numbered), heard in zip(batch.taken, found, strict=True):
            if self._has(clip):
                events += [*clip.heard(numbered, heard), *self._ended(clip)]
        for clip in {clip.job_id: clip for clip, _ in batch.taken if self._has(clip)}.values():
            events += clip.progress()
        return events

    def _ended(self, clip: Clip) -> list[Event]:
        done = clip.end()
        if done is None:
            return []
        self.drop(clip.job_id)
        return [done]

    def _has(self, clip: Clip) -> bool:
        return self._clips.get(clip.job_id) is clip

    def _to_the_back(self, clip: Clip) -> None:
        self._clips[clip.job_id] = self._clips.pop(clip.job_id)


class _Batch(NamedTuple):
    """Pieces that a worker has in hand."""

    manner: Manner
    taken: list[tuple[Clip, Numbered]]
    clock: StallClock

    def wanted(self, at: int) -> bool:
        return not self.taken[at][0].is_closed

    def stands_still(self, limit_s: float, now: float) -> bool:
        """Whether it has taken longer than ``limit_s`` for each of its pieces."""
        return self.clock.exceeds(limit_s * len(self.taken), now)


def _live(model: Model, pool: ThreadPoolExecutor) -> LiveHearing:
    from worker.hearing.live.hearing import LiveHearing

    return LiveHearing(
        model, pool, lambda said: asked.language_of(said, model.languages, model.traits)
    )


def _prove(model: Model, path: str) -> None:
    """Hear one piece: the voice filter would keep the model out of a warm-up with no voice."""
    from worker.hearing.model import Manner

    silence = np.zeros(decode.SAMPLE_RATE_HZ, np.float32)
    manner = Manner(next(iter(model.languages), None))
    try:
        model.hear([Piece(silence, [Part(0, silence.size)], [])], manner, lambda _: True)
    except Exception as error:
        raise LoadError(f"{path} loads but does not run: {error}") from error
