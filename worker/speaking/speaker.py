"""What a library that speaks has to do; `worker.speaking.engine` does all else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ipc.messages.spec import Loaded, Spec
from worker.audio.decode import Samples
from worker.engine import Stage
from worker.speaking.parts import MAX_CHARS


class Traits(NamedTuple):
    """What holds for all that a speaker says. A frame is what its model makes at once; a part of a
    text is what is said in one step, so that it has at most ``part_chars``."""

    rate_hz: int
    frame_samples: int
    part_chars: int = MAX_CHARS


class Speaker(Protocol):
    """A model that says phonemes, and the rules by which a text comes to such."""

    traits: Traits

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        """As `worker.engine.Engine.load`; what it returns has ``voices``, at least one."""
        ...

    def readable(self, text: str) -> tuple[str, int]:
        """``text`` without the words that there are no sounds for, and how many letters these
        had."""
        ...

    def sentences(self, paragraph: str) -> Sequence[str]: ...

    def phonemes(self, text: str, voice: str) -> Sequence[str]:
        """What ``text``, a part of a text, sounds like, in pieces that can be said at once:
        each takes a second or two at most. Pieces that would be silent are left out.

        Raises `InvalidRequest` where its rules fail.
        """
        ...

    def say(self, phonemes: str, voice: str) -> tuple[Samples, int]:
        """The sound, and of how many tokens the model has read it."""
        ...

    def close(self) -> None: ...
