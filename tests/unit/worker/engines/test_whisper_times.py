"""From the times of voiced parts in a row to those of the clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from worker.audio.decode import SAMPLE_RATE_HZ
from worker.engines.whisper.times import VoicedTimes


@dataclass
class Word:
    start: float
    end: float
    word: str = ""


def times(*voiced: tuple[float, float], size_s: float = 60.0) -> VoicedTimes:
    parts = [
        {"start": int(start * SAMPLE_RATE_HZ), "end": int(end * SAMPLE_RATE_HZ)}
        for start, end in voiced
    ]
    return VoicedTimes(parts, int(size_s * SAMPLE_RATE_HZ))


# In a row: 0 to 10 and 10 to 20. The filter has padded each by 0.4 s on both sides.
TWO = times((4.0, 14.0), (24.0, 34.0))


@pytest.mark.parametrize(
    ("row", "clip"),
    [
        ((0.0, 5.0), (4.2, 9.0)),
        ((5.0, 10.0), (9.0, 13.8)),  # the joint as an end
        ((10.0, 15.0), (24.2, 29.0)),  # and as a start
        ((5.0, 10.2), (9.0, 13.8)),  # a little over it
        ((9.9, 15.0), (24.2, 29.0)),  # a little before it
        ((15.0, 20.0), (29.0, 33.8)),
        ((15.0, 29.0), (29.0, 33.8)),  # past the end
        ((5.0, 15.0), (9.0, 29.0)),  # really on both sides
        ((9.9, 10.0), (13.8, 13.8)),
        ((10.0, 10.1), (24.2, 24.2)),
    ],
)
def test_a_segment_is_where_its_voice_is(
    row: tuple[float, float], clip: tuple[float, float]
) -> None:
    assert TWO.segment(*row) == clip


@pytest.mark.parametrize(
    ("row", "clip"),
    [
        ((0.0, 1.0), (4.2, 5.0)),
        ((9.5, 10.3), (13.5, 13.8)),
        ((9.8, 10.6), (24.2, 24.6)),
        ((19.5, 20.5), (33.5, 33.8)),
    ],
)
def test_a_word_is_said_in_one_part(row: tuple[float, float], clip: tuple[float, float]) -> None:
    assert TWO.word(*row) == clip


def test_a_clip_that_is_all_voice_keeps_its_times() -> None:
    whole = times((0.0, 60.0))
    assert whole.segment(0.0, 60.0) == (0.0, 60.0)
    assert whole.word(1.232, 2.348) == (1.23, 2.35)
    assert not whole.has_long_silence


@pytest.mark.parametrize(("next_start", "long"), [(16.0, False), (17.0, False), (17.1, True)])
def test_only_a_long_silence_parts_a_segment(next_start: float, *, long: bool) -> None:
    row = times((4.0, 14.0), (next_start, 34.0))
    words = [Word(8.0, 9.0), Word(9.0, 9.9), Word(10.1, 11.0), Word(11.0, 12.0)]
    assert row.has_long_silence is long
    assert list(row.cues(words)) == ([words[:2], words[2:]] if long else [words])


def test_no_words_are_no_cue() -> None:
    assert list(TWO.cues([])) == []


def test_times_have_a_form_on_the_wire_whatever_they_were_computed_in() -> None:
    found = [*TWO.word(np.float64(1.0), np.float64(2.0)), *TWO.segment(np.float64(1.0), 2.0)]
    assert {type(time) for time in found} == {float}


def test_padding_that_was_asked_for_is_what_is_hidden() -> None:
    parts = [{"start": 4 * SAMPLE_RATE_HZ, "end": 14 * SAMPLE_RATE_HZ}]
    size = 60 * SAMPLE_RATE_HZ
    assert VoicedTimes(parts, size, pad_s=0.1).segment(0.0, 10.0) == (4.0, 14.0)
    assert VoicedTimes(parts, size, pad_s=1.0).segment(0.0, 10.0) == (4.8, 13.2)
