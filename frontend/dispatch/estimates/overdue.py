"""What is left of work that has an expected length."""

from __future__ import annotations

# What is left at least, as a part of the whole.
LEAST_LEFT = 0.1


def time_left_s(whole_s: float, elapsed_s: float) -> float:
    """In how many seconds work should end that was to take ``whole_s`` and began so long ago.

    One that takes longer may take half of what is over once more: whatever holds it up will not be
    gone at once, and the longer it has lasted, the less so.
    """
    over_s = elapsed_s - whole_s
    return max(-over_s, over_s / 2, LEAST_LEFT * whole_s)
