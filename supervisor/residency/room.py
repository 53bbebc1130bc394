"""The memory of a device that models may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Room:
    """What a device has ``free_mb`` now; ``budget_mb`` is for all its models together, None for no
    such bound."""

    free_mb: float
    budget_mb: int | None = None

    def left_mb(self, held_mb: float) -> float:
        """What may still be taken where models hold so much."""
        if self.budget_mb is None:
            return self.free_mb
        return min(self.free_mb, self.budget_mb - held_mb)


# Measures a device, say "cpu" or "cuda:0".
Look = Callable[[str], Room]
