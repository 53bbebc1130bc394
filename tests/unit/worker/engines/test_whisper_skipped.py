"""What Whisper has skipped of a piece, and what its halves bring back."""

from __future__ import annotations

import numpy as np
import pytest

from worker.audio.cut import Piece, Voice, middle
from worker.engines.whisper.skipped import fuller, says_too_little
from worker.hearing.model import Heard

RATE_HZ = 16_000


def heard(tokens: int, text: str = " so", logprob: float = -0.1, silent: float = 0.0) -> Heard:
    return Heard("en", text, [7] * tokens, [], 0.0, logprob, 1.0, silent)


def piece(seconds: float, voice_s: float, *silences: tuple[float, float]) -> Piece:
    samples = np.zeros(round(seconds * RATE_HZ), np.float32)
    return Piece(samples, [], list(silences), Voice(0.9, 0.9, voice_s))


@pytest.mark.parametrize(
    ("tokens", "seconds", "voice_s", "expected"),
    [
        (42, 25.9, 20.8, True),  # where half of it was skipped
        (107, 24.9, 19.3, False),
        (63, 24.9, 20.8, False),  # who speaks slowly
        (5, 9.0, 9.0, False),  # too short to tell
        (5, 9.0, 28.0, False),  # of which nobody has said how much is voice
    ],
)
def test_a_piece_with_few_words_for_its_voice_says_too_little(
    tokens: int, seconds: float, voice_s: float, expected: bool
) -> None:
    assert says_too_little(heard(tokens), piece(seconds, voice_s)) is expected


def test_silence_does_not_say_too_little() -> None:
    assert not says_too_little(heard(1, logprob=-1.5, silent=0.9), piece(28, 28))


def test_halves_with_more_words_are_taken_in_place_of_the_whole() -> None:
    found = fuller(heard(40, " end."), [heard(60, " Begin,", -0.2), heard(40, " end.", -0.1)])
    assert (found.text, len(found.tokens)) == (" Begin, end.", 100)
    assert found.avg_logprob == pytest.approx(-0.16)


@pytest.mark.parametrize(
    "halves",
    [
        [heard(20), heard(24)],  # no more than was there
        [heard(60, logprob=-1.2), heard(40)],  # unsure
        [heard(60, silent=0.9), heard(40)],  # nobody speaks in one
        [],
    ],
)
def test_other_halves_are_not(halves: list[Heard]) -> None:
    whole = heard(40)
    assert fuller(whole, halves) is whole


def test_a_piece_is_halved_in_the_longest_pause_of_its_inner_half() -> None:
    assert (
        middle(piece(20, 20, (1.0, 4.0), (8.0, 8.5), (12.0, 13.0), (19.0, 20.0))) == 12.5 * RATE_HZ
    )
    assert middle(piece(20, 20)) == 10 * RATE_HZ
