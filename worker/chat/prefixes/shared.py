"""How much two sequences of tokens have in common."""

from __future__ import annotations

from collections.abc import Sequence


def shared_tokens(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences of one kind begin with in common."""
    longest = min(len(one), len(other))
    if one[:longest] == other[:longest]:
        return longest
    same, different = 0, longest
    while different - same > 1:
        middle = (same + different) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            different = middle
    return same
