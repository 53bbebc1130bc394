"""Where a request stands, as it is told to whoever waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# `loading`: it waits, and no worker could take it now. `running`: a worker has it.
State = Literal["queued", "loading", "running"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefill:
    """How many tokens of a prompt have been read, of how many, and in how long the others should
    be."""

    read_tokens: int
    prompt_tokens: int
    left_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """How many seconds of a recording have been heard, of how many, and in how long the others
    should be: None where that is not known."""

    heard_s: float
    audio_s: float | None = None
    left_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """``position`` is its place among those that wait, the next one's being 1; 0 once a worker has
    it. ``start_s`` is in how many seconds that should be, ``end_s`` in how many its answer should
    be whole: None where that is not known. ``stage`` is what its model's load has come to.
    ``prefill`` is how far its prompt is read, ``listening`` how far its recording is heard, while
    its worker tells."""

    state: State
    position: int
    start_s: float | None = None
    end_s: float | None = None
    stage: str | None = None
    prefill: Prefill | None = None
    listening: Listening | None = None
