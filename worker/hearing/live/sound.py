"""Live sound as samples: 16 kHz, mono, whatever it comes as."""

from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt
from av import AudioFrame, AudioResampler

from ipc.messages.jobs import Coding
from worker.audio.decode import SAMPLE_RATE_HZ, Samples

_NOTHING = np.empty(0, np.float32)


class LiveSound:
    """Samples may be cut anywhere, also in their middle."""

    def __init__(self, coding: Coding, rate_hz: int) -> None:
        self.coding = coding
        self.rate_hz = rate_hz
        self._rest = b""
        self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)

    def push(self, data: bytes) -> Samples:
        """The samples that are complete with ``data``."""
        samples = self._read(data)
        if self.rate_hz == SAMPLE_RATE_HZ or not samples.size:
            return _scaled(samples)
        frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = self.rate_hz
        out = [piece.to_ndarray().reshape(-1) for piece in self._resampler.resample(frame)]
        return _scaled(np.concatenate(out)) if out else _NOTHING

    def _read(self, data: bytes) -> npt.NDArray[np.int16]:
        if self.coding != "pcm":
            return _TABLES[self.coding][np.frombuffer(data, np.uint8)]
        data = self._rest + data
        whole = len(data) - len(data) % 2
        self._rest = data[whole:]
        return np.frombuffer(data[:whole], "<i2").astype(np.int16)


def _scaled(samples: npt.NDArray[np.int16]) -> Samples:
    return samples.astype(np.float32) / np.float32(32768)


def _table(codec: str) -> npt.NDArray[np.int16]:
    """What each byte of a law of G.711 stands for."""
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = 8000, "mono"
    (frame,) = decoder.decode(av.Packet(bytes(range(256))))
    return frame.to_ndarray().reshape(-1).astype(np.int16)


_TABLES = {"pcmu": _table("pcm_mulaw"), "pcma": _table("pcm_alaw")}
