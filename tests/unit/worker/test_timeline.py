"""Histories of timestamps: each frame's time and length in, the silence before each out."""

from __future__ import annotations

import pytest

from worker.audio.timeline import MAX_GAP_S, Timeline

HISTORIES: list[tuple[str, float | None, list[tuple[float | None, float]], list[float]]] = [
    ("in a row", 0.0, [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)], [0, 0, 0]),
    ("starts late", 0.0, [(5.0, 1.0), (6.0, 1.0)], [5, 0]),
    ("the file starts late too", 5.0, [(5.0, 1.0), (6.0, 1.0)], [0, 0]),
    ("the file says no start", None, [(5.0, 1.0), (8.0, 1.0)], [0, 2]),
    ("a gap", 0.0, [(0.0, 1.0), (3.0, 1.0), (4.0, 1.0)], [0, 2, 0]),
    ("two gaps", 0.0, [(0.0, 1.0), (3.0, 1.0), (9.0, 1.0)], [0, 2, 5]),
    ("a little late, as encoders are", 0.0, [(0.02, 1.0), (1.02, 1.0)], [0, 0]),
    ("rounded", 0.0, [(0.0, 0.021), (0.021, 0.021), (0.043, 0.021), (0.064, 0.021)], [0] * 4),
    ("a clock that runs ahead", 0.0, [(0.0, 1.0), (1.06, 1.0), (2.12, 1.0)], [0, 0, 0.12]),
    ("a clock that lags", 0.0, [(0.0, 1.0), (0.94, 1.0), (1.88, 1.0)], [0, 0, 0]),
    ("an overlap, then a gap", 0.0, [(0.0, 1.0), (0.5, 1.0), (3.0, 1.0)], [0, 0, 1]),
    ("no timestamps", 0.0, [(None, 1.0), (None, 1.0)], [0, 0]),
    ("one without", 0.0, [(0.0, 1.0), (None, 1.0), (4.0, 1.0)], [0, 0, 2]),
    ("a chained file", 0.0, [(0.0, 5.0), (0.0, 1.0), (1.0, 1.0), (4.0, 1.0)], [0, 0, 0, 2]),
    ("a wrong one far ahead", 0.0, [(0.0, 1.0), (3.6e9, 1.0), (2.0, 1.0), (3.0, 1.0)], [0] * 4),
    ("a wrong one far back", 0.0, [(0.0, 60.0), (0.0, 1.0), (61.0, 1.0), (62.0, 1.0)], [0] * 4),
    ("all far ahead", 0.0, [(0.0, 1.0), (3.6e9, 1.0), (3.6e9 + 1, 1.0)], [0] * 3),
    ("the longest gap", 0.0, [(0.0, 1.0), (1.0 + MAX_GAP_S, 1.0)], [0, MAX_GAP_S]),
    ("a longer one", 0.0, [(0.0, 1.0), (1.1 + MAX_GAP_S, 1.0)], [0, 0]),
]


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: str(history[0]))
def test_silence_stands_where_the_clock_has_none(
    history: tuple[str, float | None, list[tuple[float | None, float]], list[float]],
) -> None:
    _, start_s, frames, silences = history
    timeline = Timeline(start_s)
    assert [timeline.place(*frame) for frame in frames] == pytest.approx(silences)
