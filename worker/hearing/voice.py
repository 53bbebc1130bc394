"""How likely somebody speaks, by silero's model, while a recording streams through."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from faster_whisper.vad import get_vad_model

from worker.audio.cut import FRAME_SAMPLES, Frame
from worker.audio.decode import Samples

# What the model wants to see of the frame before.
_CONTEXT_SAMPLES = 64
_STATE_SHAPE = (1, 1, 128)


class VoiceFinder:
    """Gives the numbers that faster-whisper has of the whole recording at once."""

    def __init__(self) -> None:
        self._session = get_vad_model().session
        self._state: list[npt.NDArray[np.float32]] = [
            np.zeros(_STATE_SHAPE, np.float32) for _ in range(2)
        ]
        self._context = np.zeros(_CONTEXT_SAMPLES, np.float32)
        self._rest: Samples = np.empty(0, np.float32)
        self._number = 0

    def push(self, samples: Samples) -> list[Frame]:
        """The frames that are complete with ``samples``."""
        held = np.concatenate([self._rest, samples])
        whole = held.size - held.size % FRAME_SAMPLES
        self._rest = held[whole:]
        return self._judged(held[:whole].reshape(-1, FRAME_SAMPLES))

    def close(self) -> list[Frame]:
        """The last frame, where it is a part of one."""
        size = self._rest.size
        if not size:
            return []
        padded = np.pad(self._rest, (0, FRAME_SAMPLES - size))
        return [
            frame._replace(samples=frame.samples[:size]) for frame in self._judged(padded[None])
        ]

    def _judged(self, frames: npt.NDArray[np.float32]) -> list[Frame]:
        if not len(frames):
            return []
        ends = frames[:, -_CONTEXT_SAMPLES:]
        context = np.concatenate([self._context[None], ends[:-1]])
        h, c = self._state
        fed = {"input": np.concatenate([context, frames], axis=1), "h": h, "c": c}
        voices, *self._state = self._session.run(None, fed)
        self._context = ends[-1]
        first, self._number = self._number, self._number + len(frames)
        return [
            Frame(first + at, voice, samples)
            for at, (voice, samples) in enumerate(
                zip(voices.reshape(-1).tolist(), frames, strict=True)
            )
        ]
