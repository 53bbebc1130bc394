import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from worker.engines.whisper import mel


@pytest.mark.parametrize("samples", [1, 159, 16_000, 100_007, 4 * 16_000 * 2])
def test_pieces_give_the_numbers_of_the_whole(
    samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mel, "PIECE_FRAMES", 250)
    heard = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    pieces, whole = mel.PiecewiseMel()(heard), FeatureExtractor()(heard)
    # Numbers near 1: a bit or two of a float32, as processors differ in the order of a sum.
    np.testing.assert_allclose(pieces, whole, rtol=0, atol=4e-7)
