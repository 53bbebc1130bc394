"""Whether a recording is handed to a worker while it is still on its way. Pure.

It takes a place of its model's for as long as its upload lasts, which its client decides.
"""

from __future__ import annotations

# With a single place, an upload has it early where the rest should come within this time.
SOON_S = 30.0
# And gives it up for whoever waits if it still comes after this.
LATEST_S = 2 * SOON_S


def begins_early(slots: int, uploads: int, waiting: int, rest_s: float | None) -> bool:
    """Of ``slots`` places, ``uploads`` have those that are on their way; ``waiting`` jobs have
    none. The rest of this one should come in ``rest_s``, None where nobody knows."""
    if waiting:
        return False
    if uploads < slots // 2:
        return True
    return slots == 1 and not uploads and rest_s is not None and rest_s <= SOON_S


def outstays(slots: int, waiting: int, held_s: float) -> bool:
    """Whether an upload that has had one of ``slots`` places for ``held_s`` is to give it up for
    those who wait. Of several it leaves some."""
    return slots == 1 and waiting > 0 and held_s > LATEST_S
