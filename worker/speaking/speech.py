"""One text's way to sound, cut into steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ipc.messages.blob import Blob
from ipc.messages.errors import InternalError, InvalidRequest
from ipc.messages.events import Audio, Done, Event, SpeakResult, Usage
from ipc.messages.jobs import SpeakInput
from worker.audio.decode import Samples
from worker.audio.encode import Encoder
from worker.audio.tempo import at_pace
from worker.speaking.parts import parts
from worker.speaking.sound import faded, silence, trimmed
from worker.speaking.speaker import Speaker


class _Phrase(NamedTuple):
    """What is said in one step, and the silence after it."""

    phonemes: str
    pause_s: float


class Speech:
    """A job that is being spoken. ``next`` says a phrase and brings what is due of the file, up to
    its `Done`."""

    def __init__(self, job_id: str, asked: SpeakInput, voice: str, speaker: Speaker) -> None:
        """Raises `InvalidRequest` for a text of which nothing would be heard."""
        self._job_id = job_id
        self._asked = asked
        self._voice = voice
        self._speaker = speaker
        self._text, self._left_out = speaker.readable(asked.text)
        self._phrases = self._read()
        self._next = next(self._phrases, None)
        if self._next is None:
            raise _nothing_to_say(asked.text, self._left_out)
        self._encoder = Encoder(asked.format, speaker.traits.rate_hz)
        self._samples = self._read_tokens = self._made_tokens = 0

    def next(self) -> list[Event]:
        """Raises the `ServeError` that ends the job."""
        phrase, self._next = self._next, next(self._phrases, None)
        assert phrase is not None
        is_last = self._next is None
        samples, tokens = self._say(phrase)
        if not is_last:
            pause_s = phrase.pause_s / self._asked.speed
            samples = np.concatenate([samples, silence(pause_s, self._speaker.traits.rate_hz)])
        self._samples += samples.size
        data = self._encoder.push(samples)
        if is_last:
            data += self._encoder.finish()
        heard = [Audio(job=self._job_id, data=Blob(data), tokens=tokens)] if data else []
        return [*heard, Done(self._job_id, self._result())] if is_last else [*heard]

    def _read(self) -> Iterator[_Phrase]:
        max_chars = self._speaker.traits.part_chars
        for part in parts(self._text, self._speaker.sentences, max_chars):
            spoken = self._speaker.phonemes(part.text, self._voice)
            for at, phonemes in enumerate(spoken, start=1):
                yield _Phrase(phonemes, part.pause_s if at == len(spoken) else 0.0)

    def _say(self, phrase: _Phrase) -> tuple[Samples, int]:
        traits = self._speaker.traits
        samples, read_tokens = self._speaker.say(phrase.phonemes, self._voice)
        if not samples.size or not np.isfinite(samples).all():
            raise InternalError("the model has made no sound of a part of the text")
        made_tokens = samples.size // traits.frame_samples
        self._read_tokens += read_tokens
        self._made_tokens += made_tokens
        said = at_pace(trimmed(samples, traits.rate_hz), traits.rate_hz, self._asked.speed)
        return faded(said, traits.rate_hz), made_tokens

    def _result(self) -> SpeakResult:
        return SpeakResult(
            duration_s=self._samples / self._speaker.traits.rate_hz,
            left_out=self._left_out,
            usage=Usage(prompt_tokens=self._read_tokens, completion_tokens=self._made_tokens),
        )


def _nothing_to_say(text: str, left_out: int) -> InvalidRequest:
    why = "has no words" if text.strip() else "is blank"
    if left_out:
        why = f"has {left_out} letters, none of which this model has sounds for"
    return InvalidRequest(
        f"`input` {why}, so nothing would be heard; send words of a language that it speaks",
        param="input",
    )
