"""When somebody begins to speak, and when he has ended. Pure: frame by frame."""

from __future__ import annotations

from typing import Literal

from ipc.messages.jobs import TurnRules
from worker.audio.cut import FRAME_S, HYSTERESIS

# A click is no voice: so many frames of one in a row are.
START_FRAMES = 3


class TurnFinder:
    """``silent_frames`` is for how long a turn has been silent that goes on."""

    def __init__(self, rules: TurnRules) -> None:
        self._threshold = rules.threshold
        self._silent = max(rules.threshold - HYSTERESIS, 0.01)
        self._ends_after = max(1, round(rules.silence_ms / 1000 / FRAME_S))
        self._voiced = 0
        self.speaking = False
        self.silent_frames = 0

    def push(self, voice: float) -> Literal["started", "stopped"] | None:
        """How likely somebody speaks in the next frame; what that makes of it."""
        if not self.speaking:
            self._voiced = self._voiced + 1 if voice >= self._threshold else 0
            if self._voiced < START_FRAMES:
                return None
            self.speaking, self.silent_frames = True, 0
            return "started"
        self.silent_frames = self.silent_frames + 1 if voice < self._silent else 0
        if self.silent_frames < self._ends_after:
            return None
        self.reset()
        return "stopped"

    def reset(self) -> None:
        """The turn has ended, whoever says so."""
        self.speaking, self._voiced, self.silent_frames = False, 0, 0
