import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from worker.engines.whisper import mel


@pytest.mark.parametrize("samples", [1, 159, 16_000, 100_007, 4 * 16_000 * 2])
def test_pieces_give_the_very_numbers_of_the_whole(samples, monkeypatch):
    monkeypatch.setattr(mel, "PIECE_FRAMES", 250)
    heard = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    assert np.array_equal(mel.PiecewiseMel()(heard), FeatureExtractor()(heard))
