"""What may come next: what followed when the last tokens stood before."""

from __future__ import annotations

import pytest

from worker.chat.lookup.repeats import MOST_SAME, MOST_TOKENS, SAME_TOKENS, Repeats

# Each: the prompt, what was written behind it, and what may come next.
HISTORIES: dict[str, tuple[list[int], list[int], list[int]]] = {
    "nothing is written": ([1, 2, 3, 4], [], []),
    "nothing repeats": ([1, 2, 3, 4], [5, 6, 7], []),
    "two tokens are chance": ([1, 2, 3, 4, 5], [1, 2], []),
    "three that stood before": ([1, 2, 3, 4, 5], [9, 1, 2, 3], [4, 5, 9, 1]),
    "it goes on as it did": ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4], [5, 6, 1, 2]),
    "and then otherwise": ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 8], []),
    "the newest place counts": ([1, 2, 3, 7, 1, 2, 3, 8], [1, 2, 3], [8, 1, 2, 3]),
    "but one that was right is kept": (
        [1, 2, 3, 4, 5, 6, 7, 9, 3, 4, 5, 8],
        [1, 2, 3, 4, 5],
        [6, 7, 9, 3],
    ),
    "the prompt repeats itself": ([1, 2, 3, 4, 1, 2, 3], [], [4, 1, 2, 3]),
    "the same token again": ([5, 5, 5, 5], [], [5]),
    "its own answer": ([9], [1, 2, 3, 4, 1, 2, 3], [4, 1, 2, 3]),
}


@pytest.mark.parametrize(
    ("prompt", "written", "expected"), HISTORIES.values(), ids=HISTORIES.keys()
)
def test_what_may_come_next(prompt: list[int], written: list[int], expected: list[int]) -> None:
    repeats = Repeats(prompt)
    repeats.extend(written)
    assert repeats.propose(4) == expected


def test_how_many_tokens_are_the_same_is_counted_to_a_bound() -> None:
    text = list(range(100, 100 + 2 * MOST_SAME))
    repeats = Repeats([*text, 1])
    counts = []
    for token in text:
        repeats.extend([token])
        counts.append(repeats.same)
    least = SAME_TOKENS - 1
    assert counts[:6] == [0] * least + [3, 4, 5, 6]
    assert counts[-1] == MOST_SAME


def test_how_many_are_the_same_is_counted_behind_another_place_too() -> None:
    repeats = Repeats([1, 2, 3, 4, 5, 6, 7, 8, 0, 3, 4, 5, 9])
    repeats.extend([8, 3, 4, 5])
    assert (repeats.propose(1), repeats.same) == ([9], SAME_TOKENS)
    repeats.extend([6, 7, 8])
    assert (repeats.propose(1), repeats.same) == ([0], 6)


def test_a_long_prompt_is_known_by_its_end() -> None:
    prompt = [1, 2, 3, 4, *range(10, 10 + MOST_TOKENS)]
    repeats = Repeats(prompt)
    repeats.extend([1, 2, 3])
    assert repeats.propose(4) == []
    repeats.extend([10, 11, 12])
    assert repeats.propose(2) == [13, 14]
