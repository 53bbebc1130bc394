"""What happens to a child, as its `Replica` is told."""

from __future__ import annotations

from dataclasses import dataclass

from ipc.messages.control import Counters
from ipc.messages.spec import Loaded


@dataclass(frozen=True, slots=True)
class Begin:
    """Run this process from now on."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """It has come further in loading: a new stage, or work that the system has accounted for."""

    stage: str | None = None


@dataclass(frozen=True, slots=True)
class BecameReady:
    loaded: Loaded | None = None
    warm: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    counters: Counters


@dataclass(frozen=True, slots=True)
class Sent:
    """The frontend has sent it so many jobs that have not ended."""

    jobs: int


@dataclass(frozen=True, slots=True)
class Worked:
    """It is silent, but the system accounts work to it: it is not stopped. A library that holds
    the GIL throughout a long step looks like this."""


@dataclass(frozen=True, slots=True)
class Suspended:
    """It has been stopped for so long, by SIGSTOP: it neither works nor will it say so."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """The supervisor itself has not run for so long: it has heard nobody, so nobody was silent."""

    away_s: float


@dataclass(frozen=True, slots=True)
class CouldNotBoot:
    """It says why it cannot start, or go on; its exit follows. ``outside``: others caused it;
    ``memory``: there was too little."""

    reason: str
    permanent: bool
    outside: bool = False
    memory: bool = False


@dataclass(frozen=True, slots=True)
class Exited:
    """Its process has ended. ``oom``: the kernel has killed it for memory. ``outside``: not by its
    own doing, so that nothing follows for what it was working on."""

    reason: str
    oom: bool = False
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """Its next start has to wait for ``what``, whenever it was due."""

    what: str


@dataclass(frozen=True, slots=True)
class Sampled:
    """Its resident memory was measured."""

    rss_mb: float


@dataclass(frozen=True, slots=True)
class Garbled:
    """Those who listen to it cannot make sense of what it says."""

    why: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Drain for ``drain_s``, asked for after ``notice_s``; ``grace_s`` later escalate."""

    drain_s: float
    grace_s: float = 0.0
    notice_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Renew:
    """Somebody wants a fresh process in its place: once it has finished what it has in hand, or at
    once where there is none."""

    why: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Happening = (
    Begin
    | Progressed
    | BecameReady
    | Beat
    | Sent
    | Worked
    | Suspended
    | Resumed
    | CouldNotBoot
    | Exited
    | Blocked
    | Sampled
    | Garbled
    | Stop
    | Renew
    | Tick
)
