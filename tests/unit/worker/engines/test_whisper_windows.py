"""How much of Whisper's half minute is looked at."""

from __future__ import annotations

import pytest

pytest.importorskip("faster_whisper")

from worker.engines.whisper.model import WINDOW, window_for


@pytest.mark.parametrize(
    ("seconds", "window"),
    [(0.5, 1000), (9.0, 1000), (9.01, 2000), (19.0, 2000), (19.5, WINDOW), (29.9, WINDOW)],
)
def test_a_window_holds_the_sound_and_a_silence_behind_it(seconds: float, window: int) -> None:
    assert window_for(seconds, (1000, 2000, WINDOW)) == window


def test_an_encoder_of_one_window_has_no_other() -> None:
    assert window_for(0.5, (WINDOW,)) == WINDOW
