"""What is alive: written by the supervisor, read by the frontend."""

from __future__ import annotations

from typing import Literal

import msgspec

from ipc.messages.spec import Loaded

ReplicaState = Literal["stopped", "starting", "ready", "draining", "backoff", "failed"]
# One that is unloaded is loaded when somebody asks for it.
ModelPhase = ReplicaState | Literal["unloaded"]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A living worker: one generation of one replica.

    One that is not ``open`` finishes what it has and takes nothing new; one that is no longer
    listed is dead, and so are the jobs it had. ``pid`` is 0 where it is not known.
    """

    replica: str
    generation: int
    endpoint: str
    credit: int
    open: bool = True
    pid: int = 0


class ModelState(msgspec.Struct, frozen=True, kw_only=True):
    """One model as the frontend may use it: its routes, or why it has none.

    ``faulty`` has the last generation of each replica that ended by its own doing, by the name of
    its route: what it was working on may be why. One that was killed from outside, or for want of
    memory that others took, is not among them. ``refused`` says why it cannot be loaded now. One
    that is ``drained`` takes no new work, whatever its routes could do.

    ``load_s`` is what its last load took, None where none was measured; of one that is being loaded
    ``load_began_at`` is when that began (monotonic), and ``stage`` what it has come to.
    """

    name: str
    routes: list[Route]
    state: ModelPhase
    faulty: list[str] = []
    was_ready: bool = False
    reason: str | None = None
    retry_after_s: float | None = None
    loaded: Loaded | None = None
    refused: str | None = None
    drained: bool = False
    load_s: float | None = None
    load_began_at: float | None = None
    stage: str | None = None
