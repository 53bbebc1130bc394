"""From the times of parts in a row to those of the recording."""

from __future__ import annotations

import numpy as np
import pytest

from worker.audio.cut import Part
from worker.audio.decode import SAMPLE_RATE_HZ
from worker.hearing.times import PieceTimes


def times(*parts: tuple[float, float]) -> PieceTimes:
    return PieceTimes(
        [Part(int(start * SAMPLE_RATE_HZ), int(end * SAMPLE_RATE_HZ)) for start, end in parts]
    )


# In a row: 0 to 10 and 10 to 20.
TWO = times((4.0, 14.0), (24.0, 34.0))


@pytest.mark.parametrize(
    ("row", "recording"),
    [
        ((0.0, 1.0), (4.0, 5.0)),
        ((9.5, 10.3), (13.5, 14.0)),  # a little over the joint
        ((9.8, 10.6), (24.0, 24.6)),  # a little before it
        ((10.0, 10.1), (24.0, 24.1)),
        ((19.5, 20.7), (33.5, 34.0)),  # past the end
    ],
)
def test_a_word_is_said_in_one_part(
    row: tuple[float, float], recording: tuple[float, float]
) -> None:
    assert TWO.word(*row) == recording


def test_a_recording_in_one_part_keeps_its_times() -> None:
    assert times((0.0, 28.0)).word(1.232, 2.348) == (1.23, 2.35)


def test_the_whole_is_from_the_first_part_to_the_last() -> None:
    assert TWO.whole == (4.0, 34.0)


def test_times_have_a_form_on_the_wire_whatever_they_were_computed_in() -> None:
    assert {type(time) for time in TWO.word(np.float64(1.0), np.float64(2.0))} == {float}
