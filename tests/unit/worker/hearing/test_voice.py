"""What silero says of a recording that streams through."""

from __future__ import annotations

import numpy as np
import pytest
from faster_whisper.vad import get_vad_model

from worker.audio.cut import FRAME_SAMPLES
from worker.hearing.voice import VoiceFinder


@pytest.mark.parametrize("step", [700, 4 * FRAME_SAMPLES, 16_000])
def test_it_is_what_it_says_of_the_whole(step: int) -> None:
    samples = np.random.default_rng(0).standard_normal(40 * FRAME_SAMPLES + 100).astype(np.float32)
    finder = VoiceFinder()
    frames = [
        frame
        for start in range(0, samples.size, step)
        for frame in finder.push(samples[start : start + step])
    ]
    frames += finder.close()
    padded = np.pad(samples, (0, FRAME_SAMPLES - 100))
    expected = get_vad_model()(padded).reshape(-1)
    np.testing.assert_allclose([frame.voice for frame in frames], expected, atol=1e-5)
    assert [frame.number for frame in frames] == list(range(41))
    assert np.array_equal(np.concatenate([frame.samples for frame in frames]), samples)


def test_of_nothing_it_says_nothing() -> None:
    assert VoiceFinder().close() == []
