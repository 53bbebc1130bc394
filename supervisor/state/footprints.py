"""The memory that models were measured to take on this box, by model, engine, device and weights.

Pure: measurements in, what is known out. `supervisor.state.recorder` measures and writes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ipc.messages.spec import Spec
from ipc.runtime.document import Schema

# The oldest measurements make room for new ones.
MOST = 200


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured. ``device`` is the kind, say ``cuda``, or ``cluster`` where a worker only
    passes jobs on; ``weights`` is `weights_digest` of the model's files, empty where it has none.
    """

    model: str
    engine: str
    device: str
    weights: str = ""

    @classmethod
    def of(cls, spec: Spec, weights: str) -> Subject:
        device = "cluster" if spec.cluster is not None else spec.device.partition(":")[0]
        return cls(model=spec.name, engine=spec.engine, device=device, weights=weights)


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of one worker and of what it has started, in bytes.

    ``private_bytes`` is what would come free if it ended: its own pages, those of files included
    that it alone has mapped. ``peak_bytes`` is the most that was resident while it loaded, None
    where the system does not tell. ``device_bytes`` is what its GPU's driver accounts to it, None
    on a CPU, and where the driver does not tell. ``measured_at`` is in seconds since 1970.
    ``load_s`` is what its last load took.
    """

    subject: Subject
    private_bytes: int
    peak_bytes: int | None
    measured_at: int
    device_bytes: int | None = None
    load_s: float | None = None

    @property
    def private_mb(self) -> int:
        return self.private_bytes >> 20

    @property
    def peak_mb(self) -> int | None:
        return None if self.peak_bytes is None else self.peak_bytes >> 20


Footprints = Sequence[Footprint]
SCHEMA = Schema("footprints.json", tuple[Footprint, ...])


def find(known: Footprints, subject: Subject) -> Footprint | None:
    return next((one for one in known if one.subject == subject), None)


def learned(known: Footprints, new: Footprint, *, first: bool) -> tuple[Footprint, ...]:
    """``known`` with a measurement more. The ``first`` of a run replaces what earlier runs had; of
    the others, of a replica or at the end of a worker, the largest counts."""
    before = find(known, new.subject)
    if before is not None and not first:
        new = _larger(before, new)
    rest = [one for one in known if one.subject != new.subject]
    rest.sort(key=lambda one: one.measured_at)
    return (*rest[-(MOST - 1) :], new)


def _larger(before: Footprint, new: Footprint) -> Footprint:
    return msgspec.structs.replace(
        new,
        private_bytes=max(before.private_bytes, new.private_bytes),
        peak_bytes=_most(before.peak_bytes, new.peak_bytes),
        device_bytes=_most(before.device_bytes, new.device_bytes),
        load_s=before.load_s if new.load_s is None else new.load_s,
    )


def _most(*known: int | None) -> int | None:
    return max((one for one in known if one is not None), default=None)
