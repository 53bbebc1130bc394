"""Everything of speech out that is not a matter of the library which speaks."""

from __future__ import annotations

from ipc.messages.errors import InvalidRequest, ServeError
from ipc.messages.events import Done, Event, Failed
from ipc.messages.jobs import Job, SpeakInput
from ipc.messages.spec import Loaded, Spec, Voice
from worker.engine import Engine, Stage
from worker.speaking.speaker import Speaker
from worker.speaking.speech import Speech
from worker.speaking.voices import voice_called


class SpeakingEngine(Engine):
    """An `Engine` for speech out, made of a `Speaker`. Texts take turns, phrase by phrase."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self._speeches: dict[str, Speech] = {}  # in the order of their turns
        self._voices: list[Voice] = []
        self._slots = 0

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._slots = spec.slots
        loaded = self._speaker.load(spec, stage)
        self._voices = loaded.voices or []
        return loaded

    def admit(self, job: Job) -> bool:
        if len(self._speeches) >= self._slots:
            return False
        if not isinstance(job.input, SpeakInput):
            raise InvalidRequest("this model speaks texts; it answers nothing else")
        voice = voice_called(job.input.voice, self._voices)
        self._speeches[job.id] = Speech(job.id, job.input, voice, self._speaker)
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self._speeches else None

    def step(self) -> list[Event]:
        if not self._speeches:
            return []
        job_id = next(iter(self._speeches))
        speech = self._speeches.pop(job_id)
        try:
            events = speech.next()
        except ServeError as error:
            return [Failed(job=job_id, error=error.info())]
        if not events or not isinstance(events[-1], Done):
            self._speeches[job_id] = speech  # behind the others
        return events

    def drop(self, job_id: str) -> None:
        self._speeches.pop(job_id, None)

    def close(self) -> None:
        self._speeches.clear()
        self._speaker.close()
