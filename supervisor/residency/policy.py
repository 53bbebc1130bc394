"""What is known of a model before it is loaded: how it is to be kept, and what it should take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ipc.messages.spec import Spec
from ipc.messages.state import ReplicaState
from supervisor.state.footprints import Footprint

Phase = Literal["out", "loading", "in", "leaving", "failed"]

# A first load has nothing but an estimate.
ESTIMATE_HEADROOM = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is known of a model beforehand. ``always``: it is in for as long as the server runs.
    ``idle_s`` is how long it stays without work, 0 for ever. ``pinned``: no other takes its place.

    ``need_mb`` is what all its workers take, ``load_mb`` the most while they load, both 0 where
    nobody knows; ``measured`` tells a measurement from an estimate.
    """

    always: bool = True
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


def policy(spec: Spec, measured: Footprint | None) -> Policy:
    """That of ``spec``, whose worker was ``measured`` before, or never."""
    on_cpu = spec.device == "cpu"  # what was measured is the system's memory, not a GPU's
    need_mb = measured.private_mb if measured else spec.memory_mb
    load_mb = measured.peak_mb or 0 if measured else 0
    return Policy(
        always=spec.load == "always",
        idle_s=spec.idle_unload_s,
        pinned=spec.pin,
        need_mb=spec.replicas * need_mb if on_cpu else 0,
        load_mb=spec.replicas * load_mb if on_cpu else 0,
        measured=measured is not None,
    )


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
