"""Which channel stands in for a mix: channels in, frame by frame, the choice out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from worker.audio.downmix import Downmix

FRAME_S = 0.02
RATE_HZ = 16_000


def voice(seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=int(FRAME_S * RATE_HZ)).astype(np.float32)


def choices(*frames: tuple[float, ...]) -> list[int | None]:
    """Of frames that have one voice in all channels, with these weights."""
    downmix = Downmix()
    return [
        downmix.choose(np.outer(np.array(weights, np.float32), voice(at)), FRAME_S)
        for at, weights in enumerate(frames)
    ]


@pytest.mark.parametrize(
    "weights", [(1, 1), (1, 0), (0, 1), (1, 0.1), (1, -0.5), (0, 0, 1, 0, 0, 0), (0, 0)]
)
def test_channels_that_can_be_mixed_are(weights: tuple[float, ...]) -> None:
    assert choices(*[weights] * 5) == [None] * 5


@pytest.mark.parametrize(
    ("weights", "chosen"),
    [((1, -1), 0), ((0.9, -1), 1), ((1, -0.9), 0), ((0, 0, 1, -1), 2), ((1, 1, -1, -1), 0)],
)
def test_one_is_chosen_where_they_cancel(weights: tuple[float, ...], chosen: int) -> None:
    assert choices(*[weights] * 5) == [chosen] * 5


def test_unrelated_channels_are_mixed() -> None:
    downmix = Downmix()
    for at in range(100):
        assert downmix.choose(np.stack([voice(2 * at), voice(2 * at + 1)]), FRAME_S) is None


def test_a_choice_is_kept_while_it_is_nearly_the_loudest() -> None:
    assert choices((1, -0.9), (0.9, -1), (1, -1)) == [0, 0, 0]


def test_a_choice_follows_a_voice_and_ends_with_the_cancelling() -> None:
    frames = [(1.0, -1.0, 0.0, 0.0)] * 3 + [(0.0, 0.0, 9.0, -9.0)] * 3 + [(9.0, 9.0, 9.0, 9.0)] * 50
    found = choices(*frames)
    assert found[2] == 0
    assert found[5] == 2
    assert found[-1] is None


def test_what_is_no_number_changes_nothing() -> None:
    assert Downmix().choose(np.array([[np.inf, 1.0], [-np.inf, np.nan]], np.float32), 0.02) is None
