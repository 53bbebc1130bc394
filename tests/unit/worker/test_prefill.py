"""What goes out of how far a prompt is read: figures as an engine tells them, and what is told."""

from __future__ import annotations

import pytest

from ipc.messages.events import Prefilled
from worker.prefill import PrefillPace

BEGUN_AT = 100.0


def told(
    *figures: tuple[float, int], whole: int = 8000, cached: int = 0
) -> list[tuple[float, int, float]]:
    """When what was told: the tokens that are read, and the seconds that the others should take.
    ``figures`` are seconds after the beginning, and the tokens that were read then."""
    pace = PrefillPace("a", whole, BEGUN_AT)
    found = []
    for at, read in figures:
        for one in pace.told(read, cached, BEGUN_AT + at):
            assert (one.job, one.prompt_tokens) == ("a", whole)
            found.append((at, one.read_tokens, round(one.left_s, 3)))
    return found


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        # nobody has to know of a prompt that is read at once
        ([(0.1, 2000), (0.2, 4000), (0.3, 6000), (0.4, 8000)], []),
        # each half second, not oftener
        (
            [(0.3, 1000), (0.6, 2000), (0.9, 3000), (1.2, 4000), (1.5, 5000)],
            [(0.6, 2000, 1.8), (1.2, 4000, 1.2)],
        ),
        # the first figure has the pace since the beginning
        ([(2.0, 1000)], [(2.0, 1000, 14.0)]),
        # others that since the first: this one had to wait 9 s for its turn
        ([(10.0, 1000), (11.0, 2000)], [(10.0, 1000, 70.0), (11.0, 2000, 6.0)]),
        # no further than before: there is no pace
        ([(0.0, 0), (1.0, 0), (2.0, 4000)], [(2.0, 4000, 2.0)]),
        # what is whole needs no word
        ([(1.0, 4000), (2.0, 8000)], [(1.0, 4000, 1.0)]),
    ],
)
def test_figures_are_told_now_and_then(
    figures: list[tuple[float, int]], expected: list[tuple[float, int, float]]
) -> None:
    assert told(*figures) == expected


def test_what_was_cached_did_not_have_to_be_read() -> None:
    assert told((1.0, 7000), cached=6000) == [(1.0, 7000, 1.0)]


def test_it_is_no_part_of_an_answer() -> None:
    assert PrefillPace("a", 10, 0.0).told(5, 0, 1.0) == [Prefilled("a", 5, 10, 1.0)]
