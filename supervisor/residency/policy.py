"""What is known of a model before it is loaded: how it is to be kept, and what it should take."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from ipc.messages.spec import Spec
from ipc.messages.state import ReplicaState
from supervisor.state.footprints import Footprint

Phase = Literal["out", "loading", "in", "leaving", "failed"]

# A first load has nothing but an estimate.
ESTIMATE_HEADROOM = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is known of a model beforehand. ``always``: it is in for as long as the server runs;
    ``never``: only an operator loads and unloads it. ``idle_s`` is how long it stays without work,
    0 for ever. ``pinned``: no other takes its place. Those of lower ``priority`` leave first.

    ``need_mb`` is what all its workers take, ``load_mb`` the most while they load, both 0 where
    nobody knows; ``measured`` tells a measurement from an estimate. It is memory of ``device``.
    """

    always: bool = True
    never: bool = False
    priority: int = 0
    device: str = "cpu"
    idle_s: float = 0.0
    pinned: bool = False
    need_mb: int = 0
    load_mb: int = 0
    measured: bool = False

    @property
    def room_mb(self) -> int:
        """What must be free for a load."""
        most = max(self.need_mb, self.load_mb)
        return most if self.measured else math.ceil(most * ESTIMATE_HEADROOM)

    def raised(self, least_mb: int) -> Policy:
        """The same for a load that has been seen to need so much."""
        if least_mb <= self.room_mb:
            return self
        return replace(self, load_mb=least_mb, measured=True)


def policy(spec: Spec, measured: Footprint | None) -> Policy:
    """That of ``spec``, whose worker was ``measured`` before, or never."""
    need_mb, load_mb, known = _needs(spec, measured)
    return Policy(
        always=spec.load == "always",
        never=spec.load == "never",
        priority=spec.priority,
        device=spec.device,
        idle_s=spec.idle_unload_s,
        pinned=spec.pin,
        need_mb=spec.replicas * need_mb,
        load_mb=spec.replicas * load_mb,
        measured=known,
    )


def _needs(spec: Spec, measured: Footprint | None) -> tuple[int, int, bool]:
    """What a worker takes of its device, the most while it loads, and whether that was measured."""
    if measured is None:
        return spec.memory_mb, 0, False
    if spec.device == "cpu":
        return measured.private_mb, measured.peak_mb or 0, True
    if measured.device_bytes is None:
        return spec.memory_mb, 0, False
    return measured.device_bytes >> 20, 0, True


def place(state: ReplicaState) -> Phase:
    """Where a model is whose best worker is in this state."""
    places: dict[ReplicaState, Phase] = {
        "starting": "loading",
        "ready": "in",
        "draining": "leaving",
        "stopped": "out",
    }
    # One that waits for its next start holds nothing, and holds nobody up.
    return places.get(state, "failed")
