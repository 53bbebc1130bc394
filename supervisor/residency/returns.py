"""Memory of a GPU that models have left, and that its driver has not given back yet. Pure."""

from __future__ import annotations

from dataclasses import dataclass

# How long memory that comes back late is waited for before more models leave for it.
SETTLE_S = 5.0
# Until when it should be back.
LEAK_S = 30.0
# How much of it must be back by then; others may have taken some.
BACK_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Return:
    """``model`` has left ``device`` at a time; ``due_mb`` should be free there by and by."""

    model: str
    device: str
    left_at: float
    due_mb: float


class Returns:
    """What is to come back. Of the system's own memory nothing is waited for: it is free as soon as
    a process has ended. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._leaving: dict[str, tuple[str, float]] = {}  # the device, what should be free there
        self._due: list[Return] = []

    def on_eviction(self, model: str, device: str, free_mb: float, freed_mb: float) -> None:
        """The model leaves a device that had so much free."""
        if device != "cpu" and freed_mb:
            self._leaving[model] = device, free_mb + BACK_SHARE * freed_mb

    def on_left(self, model: str, now: float) -> None:
        """Its processes have ended."""
        if (leaving := self._leaving.pop(model, None)) is not None:
            self._due.append(Return(model, leaving[0], now, leaving[1]))

    def on_load(self, device: str) -> None:
        """There was room for another model: what it takes is not missing."""
        self._due = [one for one in self._due if one.device != device]

    def settles(self, device: str, now: float) -> bool:
        """Whether memory may still come back there that is worth waiting for."""
        return any(one.device == device and now - one.left_at < SETTLE_S for one in self._due)

    def late(self, now: float) -> list[Return]:
        """Those whose time is over; each is said once."""
        late = [one for one in self._due if now - one.left_at >= LEAK_S]
        self._due = [one for one in self._due if one not in late]
        return late
