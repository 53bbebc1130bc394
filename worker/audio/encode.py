"""Samples to files, while they come: the beginning of a file is there before its end is known."""

from __future__ import annotations

from typing import NamedTuple, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from ipc.messages.jobs import AudioFormat
from worker.audio.decode import Samples

_LOUDEST = 32767


class _File(NamedTuple):
    """How FFmpeg makes a file: by which muxer and codec, at how many bits a second (0: as they
    come) and samples a second (0: as they are)."""

    muxer: str
    codec: str
    options: dict[str, str]
    bits_a_second: int = 0
    rate_hz: int = 0


# Nothing is held back to be written at once, and no place is kept for what only the end would tell.
_FLUSHED = {"flush_packets": "1"}
_FILES: dict[AudioFormat, _File] = {
    "mp3": _File(
        "mp3", "libmp3lame", {**_FLUSHED, "write_xing": "0", "id3v2_version": "0"}, 64_000
    ),
    # A page of a tenth of a second, in microseconds; of a whole one, if it is not said.
    "opus": _File("ogg", "libopus", {**_FLUSHED, "page_duration": "100000"}, 48_000, 48_000),
    "aac": _File("adts", "aac", _FLUSHED, 64_000),
    "flac": _File("flac", "flac", _FLUSHED),
    "wav": _File("wav", "pcm_s16le", _FLUSHED),
}


class Encoder:
    """Makes a file of ``form`` from samples of one channel. ``push`` and ``finish`` give the bytes
    that are due then, mostly those of all but the last tenth of a second.

    A file's header cannot tell how long it will be: that of ``wav`` says as long as can be, that of
    ``flac`` unknown, as is usual where either is streamed.
    """

    def __init__(self, form: AudioFormat, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._sink = _Sink()
        self._output = None if form == "pcm" else _Output(_FILES[form], rate_hz, self._sink)

    def push(self, samples: Samples) -> bytes:
        """What lies outside -1 to 1 is clipped."""
        whole = (np.clip(samples, -1, 1) * _LOUDEST).astype("<i2")
        if self._output is None:
            return whole.tobytes()
        if whole.size:
            frame = AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
            frame.rate = self._rate_hz
            self._output.write(frame)
        return self._sink.take()

    def finish(self) -> bytes:
        """The rest of the file."""
        if self._output is not None:
            self._output.close()
        return self._sink.take()


class _Output:
    def __init__(self, file: _File, rate_hz: int, sink: _Sink) -> None:
        self._container = av.open(sink, "w", format=file.muxer, options=file.options)
        stream = self._container.add_stream(file.codec, rate=file.rate_hz or rate_hz)
        self._stream = cast(AudioStream, stream)
        self._stream.layout = "mono"
        if file.bits_a_second:
            self._stream.bit_rate = file.bits_a_second

    def write(self, frame: AudioFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        self.write(None)
        self._container.close()


class _Sink:
    """A file that is only written to, from its beginning to its end."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
