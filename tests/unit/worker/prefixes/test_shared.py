"""How much two sequences begin with in common."""

from __future__ import annotations

import random

from worker.chat.prefixes.shared import shared_tokens


def test_shared_tokens_are_counted_to_the_first_that_differs() -> None:
    draw = random.Random(5)
    for _ in range(200):
        one = [draw.randrange(2) for _ in range(draw.randint(0, 40))]
        other = one[: draw.randint(0, len(one))] + [draw.randrange(2) for _ in range(5)]
        slow = next(
            (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
            min(len(one), len(other)),
        )
        assert shared_tokens(one, other) == slow
