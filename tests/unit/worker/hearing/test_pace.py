"""What is told of a recording while it is heard."""

from __future__ import annotations

import pytest

from ipc.messages.events import Listened
from worker.hearing.pace import ListeningPace

BEGUN_AT = 100.0


def told(*figures: tuple[float, float], audio_s: float | None = 600.0) -> list[Listened]:
    """``figures`` are seconds after the beginning, and those of the recording heard by then."""
    pace = ListeningPace("a", BEGUN_AT)
    return [one for at, heard_s in figures for one in pace.told(heard_s, audio_s, BEGUN_AT + at)]


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        # nobody has to know of a recording that is heard at once
        ([(0.4, 11.0)], []),
        # each half second, not oftener, with the pace since the beginning
        ([(1.0, 30.0), (1.2, 60.0), (2.0, 60.0)], [(30.0, 19.0), (60.0, 18.0)]),
        # while nothing has been heard there is no pace
        ([(3.0, 0.0), (6.0, 60.0)], [(60.0, 54.0)]),
        # what is whole needs no word
        ([(10.0, 600.0)], []),
    ],
)
def test_figures_are_told_now_and_then(
    figures: list[tuple[float, float]], expected: list[tuple[float, float]]
) -> None:
    assert told(*figures) == [Listened("a", heard, 600.0, left) for heard, left in expected]


def test_of_a_file_that_does_not_say_how_long_it_is_only_what_was_heard_is_told() -> None:
    assert told((2.0, 60.0), audio_s=None) == [Listened("a", 60.0, None, None)]
