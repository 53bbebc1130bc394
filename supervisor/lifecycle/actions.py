"""What is to be done about a child, as its `Replica` says."""

from __future__ import annotations

import signal
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spawn:
    generation: int


@dataclass(frozen=True, slots=True)
class AskToDrain:
    seconds: float


@dataclass(frozen=True, slots=True)
class Signal:
    """Send ``number`` to the process; SIGKILL goes to its whole group."""

    number: signal.Signals
    why: str


@dataclass(frozen=True, slots=True)
class Warn:
    """Tell people."""

    what: str


Action = Spawn | AskToDrain | Signal | Warn
