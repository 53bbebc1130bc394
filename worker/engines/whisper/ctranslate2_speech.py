"""Whisper through CTranslate2 (faster-whisper): quantised, without torch."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ipc.engines import CTranslate2Options, SpeechOptions
from ipc.facts.languages import code_of, name_of
from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest, ServeError
from ipc.messages.events import Done, Event, Failed
from ipc.messages.jobs import Job, SpeechInput
from ipc.messages.spec import Loaded, Spec
from worker.audio import decode
from worker.engine import Engine, LoadError, Stage, options_of

if TYPE_CHECKING:
    from worker.engines.whisper.clip import Clip
    from worker.engines.whisper.ctranslate2_model import Model

# A step waits no longer for windows in hand, so that a new job or a cancellation need not either.
_POLL_S = 0.02


class WhisperSpeech(Engine):
    """An engine for speech. Options: `CTranslate2Options`.

    Clips take turns, window by window, at as many workers as the model has; each is transcribed as
    it would be alone.
    """

    def __init__(self) -> None:
        self._model: Model | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._clips: dict[str, Clip] = {}  # in the order of their turns
        self._running: dict[Future[Event | None], _Turn] = {}
        self._slots = 0
        self._stall_s = 0.0
        self._options = SpeechOptions()

    def prepare(self, spec: Spec, stage: Stage) -> None:
        """Convert a Hugging Face checkpoint now, so that a worker need not. Raises `LoadError`."""
        from worker.engines.whisper.ctranslate2_model import model_folder

        model_folder(spec, stage)

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._slots = spec.slots
        self._stall_s = spec.stall_s
        self._options, self._model = self._open(spec, stage)
        model = self._model
        stage("first window")
        _prove(model, spec.path)
        self._pool = ThreadPoolExecutor(model.workers, "speech")
        return Loaded(
            device=model.device,
            context_tokens=model.max_tokens,
            languages=model.languages,
            detail=model.detail,
        )

    def admit(self, job: Job) -> bool:
        from worker.engines.whisper.clip import Clip

        assert self._model is not None
        if len(self._clips) >= self._slots:
            return False
        if not isinstance(job.input, SpeechInput):
            raise InvalidRequest("this model transcribes audio; it answers nothing else")
        self._clips[job.id] = Clip(
            job.id,
            job.input,
            _language(job.input, self._model.languages),
            self._model,
            voice_only=self._options.vad,
            max_audio_s=self._options.max_audio_s,
        )
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self._clips or self._running else None

    def step(self) -> list[Event]:
        events = self._fill()
        finished, running = wait(self._running, 0 if events else _POLL_S, FIRST_COMPLETED)
        events += [event for future in finished for event in self._collect(future)]
        now = time.monotonic()
        if any(now - self._running[future].since > self._stall_s for future in running):
            raise RuntimeError(f"a window has taken more than {self._stall_s:g} s")
        return events

    def drop(self, job_id: str) -> None:
        clip = self._clips.pop(job_id, None)
        # A step in hand cannot be broken off; `_collect` closes its clip.
        if clip is not None and not self._is_running(job_id):
            clip.close()

    def close(self) -> None:
        for job_id in list(self._clips):
            self.drop(job_id)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._model = None

    def _open(self, spec: Spec, stage: Stage) -> tuple[SpeechOptions, Model]:
        from worker.engines.whisper.ctranslate2_model import load_model, model_folder

        options = options_of(spec, CTranslate2Options)
        folder = model_folder(spec, stage)
        stage("loading weights")
        return options, load_model(spec, options, folder)

    def _fill(self) -> list[Event]:
        """Give each free worker the clip whose turn it is; one that reads its file is served here,
        as soon as no worker is busy."""
        assert self._model is not None
        assert self._pool is not None
        for job_id in [job_id for job_id in self._clips if not self._is_running(job_id)]:
            if len(self._running) == self._model.workers:
                break
            clip = self._clips[job_id]
            if clip.reading:
                return [] if self._running else self._read(job_id, clip)
            turn = _Turn(job_id, clip, time.monotonic())
            self._running[self._pool.submit(clip.next)] = turn
        return []

    def _read(self, job_id: str, clip: Clip) -> list[Event]:
        try:
            clip.next()
        except ServeError as error:
            del self._clips[job_id]
            return [Failed(job=job_id, error=error.info())]
        self._to_the_back(job_id)
        return []

    def _collect(self, future: Future[Event | None]) -> list[Event]:
        """What a worker brings, and the clip's next turn behind the others'."""
        turn = self._running.pop(future)
        if turn.job_id not in self._clips:
            turn.clip.close()
            return []
        try:
            event = future.result()
        except ServeError as error:
            event = Failed(job=turn.job_id, error=error.info())
        if isinstance(event, Done | Failed):
            del self._clips[turn.job_id]
        else:
            self._to_the_back(turn.job_id)
        return [event] if event else []

    def _to_the_back(self, job_id: str) -> None:
        self._clips[job_id] = self._clips.pop(job_id)

    def _is_running(self, job_id: str) -> bool:
        return any(turn.job_id == job_id for turn in self._running.values())


class _Turn(NamedTuple):
    """A step of a clip that a worker has in hand."""

    job_id: str
    clip: Clip
    since: float


def _prove(model: Model, path: str) -> None:
    """Run one window: the voice filter would keep the model out of a warm-up with no voice."""
    silence = np.zeros(decode.SAMPLE_RATE_HZ, np.float32)
    try:
        for _ in model.hear(silence, SpeechInput(audio=Blob(b"")), "en", word_times=False):
            pass
    except Exception as error:
        raise LoadError(f"{path} loads but does not run: {error}") from error


def _language(asked: SpeechInput, known: list[str]) -> str | None:
    """The code of the language asked for. Raises `InvalidRequest` for one the model lacks."""
    multilingual = len(known) > 1
    if asked.translate and not multilingual:
        raise InvalidRequest(
            "this model knows only English and cannot translate; use a multilingual Whisper "
            "(one whose name does not end in .en)",
            param="model",
        )
    if not asked.language:
        return None if multilingual else "en"
    code = code_of(asked.language)
    if code in known:
        return code
    if not multilingual:
        raise InvalidRequest(
            "this model knows only English: leave language out or send en", param="language"
        )
    if code is not None:
        raise InvalidRequest(
            f"this model does not know {name_of(code)} ({code}): leave language out to have the "
            "nearest that it knows detected",
            param="language",
        )
    raise InvalidRequest(
        f"unknown language {asked.language[:40]!r}: send an ISO-639-1 code or an English name, "
        "such as en, de, es, fr, ja, zh or english, or leave it out to have it detected",
        param="language",
    )
