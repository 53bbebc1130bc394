"""The one real job that a model must answer before it counts as ready."""

from __future__ import annotations

import io
import math
import struct
import time
import wave

from ipc.types import (
    CAPABILITIES,
    Blob,
    ChatInput,
    Delta,
    EmbedInput,
    Event,
    Failed,
    Job,
    Message,
    Sampling,
    Spec,
    SpeechInput,
    Terminal,
)
from worker.engine import Engine, LoadError

_SAMPLE_RATE_HZ = 16_000
# A first run may compile kernels; a model that needs longer than this would not serve anyone.
TIMEOUT_S = 300.0


def warm(engine: Engine, spec: Spec) -> dict[str, str]:
    """Run one job of the model's own task through the engine.

    Returns how it went for each capability; raises `LoadError` when it did not go well.
    """
    deadline_at = time.monotonic() + TIMEOUT_S
    job = Job(id="warm-up", model=spec.name, input=_input(spec), deadline_at=deadline_at)
    if not engine.admit(job):
        raise LoadError("the warm-up job found no room in an empty engine")
    while time.monotonic() < deadline_at:
        ended = _terminal(engine.step())
        if isinstance(ended, Failed):
            raise LoadError(f"warm-up failed: {ended.error.message}", permanent=False)
        if ended is not None:
            return {CAPABILITIES[spec.task]: "ok"}
    engine.drop(job.id)
    raise LoadError(f"warm-up did not finish within {TIMEOUT_S:.0f} s", permanent=False)


def _terminal(events: list[Event]) -> Terminal | None:
    return next((event for event in events if not isinstance(event, Delta)), None)


def _input(spec: Spec) -> ChatInput | EmbedInput | SpeechInput:
    if spec.task == "chat":
        sampling = Sampling(max_tokens=4, temperature=0.0)
        return ChatInput(messages=[Message("user", "Hello")], sampling=sampling)
    if spec.task == "embed":
        return EmbedInput(texts=["Hello"])
    return SpeechInput(audio=Blob(tone_wav(seconds=1.0)))


def tone_wav(seconds: float) -> bytes:
    """A quiet 440 Hz tone as a 16 kHz mono WAV file."""
    count = int(seconds * _SAMPLE_RATE_HZ)
    wave_at = (math.sin(2 * math.pi * 440 * at / _SAMPLE_RATE_HZ) for at in range(count))
    samples = struct.pack(f"<{count}h", *(int(3000 * value) for value in wave_at))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(_SAMPLE_RATE_HZ)
        out.writeframes(samples)
    return file.getvalue()
