"""Speech out asked of an OpenAI-compatible server, and what its sound means. No sockets here.

Sound is asked for as `wav`, whose header tells its rate, and made the file that was asked for here:
so one that comes in another form, of which servers skip the parameter, is seen.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from ipc.messages.blob import Blob
from ipc.messages.errors import InternalError, UnsupportedParameter
from ipc.messages.events import Audio, SpeakResult, Usage
from ipc.messages.jobs import SpeakInput
from ipc.messages.spec import Voice
from worker.audio.decode import Samples
from worker.audio.encode import Encoder

# What `pcm` is in OpenAI's API, where nothing tells a client otherwise.
_PCM_RATE_HZ = 24_000
_MAX_HEADER_BYTES = 64 << 10
_PCM, _EXTENSIBLE = 1, 0xFFFE
_FRAME_S = 0.1  # what a token of sound is counted as, since servers tell no tokens


def speak_body(asked: SpeakInput, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "input": asked.text,
        "voice": asked.voice,
        "response_format": "wav",
        "speed": None if asked.speed == 1 else asked.speed,
    }
    return {name: value for name, value in body.items() if value is not None}


class Sound:
    """The sound of one job, while its `wav` comes. All raise the `ServeError` that ends it."""

    def __init__(self, job_id: str, asked: SpeakInput) -> None:
        self._job_id = job_id
        self._asked = asked
        self._wav = WavReader()
        self._encoder: Encoder | None = None
        self._samples = 0

    def feed(self, data: bytes) -> Audio | None:
        """What is due of the file by ``data``."""
        return self._audio(self._wav.feed(data), b"")

    def end(self) -> Audio | None:
        """The rest of the file. Raises `InternalError` if nothing was heard."""
        if self._encoder is None or not self._samples:
            raise InternalError("the upstream sent no sound")
        return self._audio(np.zeros(0, np.float32), self._encoder.finish())

    def result(self) -> SpeakResult:
        seconds = self._samples / self._wav.rate_hz
        tokens = Usage(prompt_tokens=0, completion_tokens=round(seconds / _FRAME_S))
        return SpeakResult(duration_s=seconds, usage=tokens)

    def _audio(self, samples: Samples, rest: bytes) -> Audio | None:
        if self._encoder is None and samples.size:
            self._encoder = self._opened()
        self._samples += samples.size
        due = self._encoder.push(samples) + rest if self._encoder else b""
        tokens = max(1, round(samples.size / self._wav.rate_hz / _FRAME_S)) if due else 0
        return Audio(job=self._job_id, data=Blob(due), tokens=tokens) if due else None

    def _opened(self) -> Encoder:
        rate_hz = self._wav.rate_hz
        if self._asked.format == "pcm" and rate_hz != _PCM_RATE_HZ:
            raise UnsupportedParameter(
                f"this model's sound has {rate_hz} Hz, and `pcm` has {_PCM_RATE_HZ}; ask for `wav`",
                param="response_format",
            )
        return Encoder(self._asked.format, rate_hz)


class WavReader:
    """A `wav` of 16 bits that comes in pieces; its channels are mixed to one.

    The header's lengths are not believed: they are unknown where a file is streamed.
    """

    def __init__(self) -> None:
        self.rate_hz = 0  # until the header has been read
        self._channels = 1
        self._begun = False
        self._rest = b""

    def feed(self, data: bytes) -> Samples:
        """Raises `InternalError` for what is no such file."""
        self._rest += data
        self._begun = self._begun or self._read_header()
        if not self._begun:
            return np.zeros(0, np.float32)
        size = len(self._rest) - len(self._rest) % (2 * self._channels)
        whole, self._rest = self._rest[:size], self._rest[size:]
        samples = np.frombuffer(whole, "<i2").reshape(-1, self._channels)
        mixed: Samples = (samples.mean(axis=1) / 32767).astype(np.float32)
        return mixed

    def _read_header(self) -> bool:
        """Whether all of it has come; what follows it is left."""
        if not b"RIFF".startswith(self._rest[:4]) or len(self._rest) > _MAX_HEADER_BYTES:
            raise InternalError("the upstream sent sound in another form than the `wav` asked for")
        at = 12
        while at + 8 <= len(self._rest):
            name, size = struct.unpack_from("<4sI", self._rest, at)
            at += 8
            if name == b"data":
                self._rest = self._rest[at:]
                if not self.rate_hz:
                    raise InternalError("the upstream sent a `wav` without a format")
                return True
            if name == b"fmt " and at + 16 <= len(self._rest):
                self._read_format(at)
            at += size + size % 2
        return False

    def _read_format(self, at: int) -> None:
        kind, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", self._rest, at)
        if kind not in (_PCM, _EXTENSIBLE) or bits != 16 or not channels or not rate_hz:
            raise InternalError(f"the upstream sent a `wav` of {bits} bits, kind {kind}, not of 16")
        self._channels, self.rate_hz = channels, rate_hz


class _Listed(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    model: str | None = None
    language: str | None = None
    aliases: list[str] = []


class _Voices(msgspec.Struct):
    voices: Sequence[str | _Listed] = ()


def voices(body: bytes, model: str) -> list[Voice]:
    """Those of ``model`` in an answer to GET /v1/audio/voices, which has several forms; none where
    it is something else."""
    try:
        found = msgspec.json.decode(body, type=_Voices).voices
    except (ValueError, RecursionError):
        return []
    entries = [_Listed(id=each) if isinstance(each, str) else each for each in found]
    return [
        Voice(name=name, language=entry.language, aliases=entry.aliases)
        for entry in entries
        if (name := entry.id or entry.name) and entry.model in (None, model)
    ]
