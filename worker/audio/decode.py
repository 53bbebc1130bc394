"""Uploaded audio to samples: mono, 16 kHz, float32. The file is hostile until it has decoded.

What a file is, its bytes say; its name is never asked. FFmpeg reads over 300 formats, and some of
them are lists of other files and addresses to open (HLS, concat, SDP): only the few below pass its
probe, and none may open anything. 25 MB of Opus can hold days of silence, 15 GB once decoded, so
the length is capped while decoding; 100 kB of MP4 can announce an index of 2 GB, so memory is too.
"""

from __future__ import annotations

import contextlib
import errno
import io
import math
import resource
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet

from ipc.messages.errors import InvalidRequest, UndecodableMedia
from worker.audio.downmix import Downmix
from worker.audio.timeline import Timeline

Samples = npt.NDArray[np.float32]


class Source(Protocol):
    """A file's bytes. One that can also `seek` and `tell` is read in any order, as some formats
    have to be."""

    def read(self, size: int, /) -> bytes: ...


SAMPLE_RATE_HZ = 16_000
# Files come out in pieces of about this length, so that the caller can do other work in between;
# a file of packets that hold next to nothing, after this many.
PIECE_S = 30.0
PIECE_PACKETS = 5_000

# Demuxers, by FFmpeg's names: those of the formats that OpenAI lists, and what phones and Macs
# record. None of them opens a second file.
FORMATS = ("aac", "aiff", "amr", "caf", "flac", "matroska", "mov", "mp3", "mpeg", "ogg", "wav")
CODECS = frozenset({
    "aac", "ac3", "adpcm_ima_wav", "adpcm_ms", "alac", "amr_nb", "amr_wb", "eac3", "flac", "mp1",
    "mp2", "mp3", "opus", "pcm_alaw", "pcm_f32be", "pcm_f32le", "pcm_f64le", "pcm_mulaw",
    "pcm_s16be", "pcm_s16le", "pcm_s24be", "pcm_s24le", "pcm_s32be", "pcm_s32le", "pcm_s8",
    "pcm_u8", "speex", "vorbis",
})  # fmt: skip

MAX_STREAMS = 16
MAX_CHANNELS = 8
# Telephone speech has 8 kHz. Below the first, each sample would become several when resampled.
MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 384_000
# What FFmpeg and a piece may take beside what the process holds already; 30 MiB is usual.
MAX_DECODE_BYTES = 256 << 20

# While channels mix well, one frame of so many is looked at: each costs 50 us, and has 20 ms or so.
LOOK_EVERY = 4

_SEND = "send a recording as flac, mp3, mp4, mpeg, mpga, m4a, ogg, wav or webm"

_NOTHING: Samples = np.empty(0, np.float32)

_OPTIONS = {
    "format_whitelist": ",".join(FORMATS),
    "protocol_whitelist": "none",
    "max_streams": str(MAX_STREAMS),
}


def decode(data: bytes, max_s: float = math.inf) -> Samples:
    """All samples of the file ``data``, shape (n,), in -1 to 1. Raises as `pieces` does."""
    return np.concatenate(list(pieces(data, max_s)))


def pieces(data: bytes | Source, max_s: float = math.inf) -> Generator[Samples, None, None]:
    """The samples of the file ``data``, about `PIECE_S` seconds at a time.

    A damaged packet is skipped, and a file that was cut off gives what it holds: half a recording
    is worth a transcript. Raises `UndecodableMedia` for what is no audio, `InvalidRequest` as soon
    as more than ``max_s`` seconds have come out.
    """
    if not data:
        raise _unreadable("is empty")
    found = _pieces(data, max_s)
    while True:
        with memory_cap():
            piece = next(found, None)
        if piece is None:
            return
        yield piece


def announced_s(data: bytes | Source) -> float | None:
    """How long the file ``data`` says that it is; None where it does not, or cannot be read."""
    try:
        with memory_cap(), open_file(_source(data)) as container:
            return said_s(container)
    except UndecodableMedia:
        return None


def said_s(container: InputContainer) -> float | None:
    """How long an open file says that it is, where it does."""
    return None if container.duration is None else container.duration / av.time_base


@contextlib.contextmanager
def memory_cap() -> Iterator[None]:
    """Raises `UndecodableMedia` for a file that takes more than `MAX_DECODE_BYTES` to read."""
    try:
        with _data_cap():
            yield
    except MemoryError:
        raise _unreadable("takes more memory to read than any recording does") from None


@contextlib.contextmanager
def _data_cap() -> Iterator[None]:
    """Lets allocations fail beyond `MAX_DECODE_BYTES` from here on (Linux; elsewhere no cap).

    The limit is the whole process's, so it stands for one piece only, never across a yield.
    """
    statm = Path("/proc/self/statm")
    if not statm.exists():
        yield
        return
    # data_vm + stack_vm in pages, the count that RLIMIT_DATA is held against: proc(5).
    held_bytes = int(statm.read_text().split()[5]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    caps = [held_bytes + MAX_DECODE_BYTES, soft, hard]
    cap = min(cap for cap in caps if cap != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_DATA, (cap, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _source(data: bytes | Source) -> Source:
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    return _Seekable(file) if isinstance(file, io.IOBase) else file


class _Seekable:
    """A ``file`` that is read in any order. A place that it cannot have is answered with an error's
    number: PyAV keeps what is raised here for the thread's next call, which may be for the file of
    somebody else."""

    def __init__(self, file: io.IOBase) -> None:
        self.read = file.read
        self.tell = file.tell
        self._file = file

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL


def _pieces(data: bytes | Source, max_s: float) -> Iterator[Samples]:
    with open_file(_source(data)) as container:
        yield from pieces_of(container, max_s)


def pieces_of(
    container: InputContainer, max_s: float, piece_s: float = PIECE_S
) -> Iterator[Samples]:
    """The samples of an open file, about ``piece_s`` at a time. Raises as `pieces` does, but that
    memory is the caller's business, see `memory_cap`."""
    piece: list[Samples] = []
    held = total = 0
    for samples in _decoded(container, _audio_stream(container)):
        piece.append(samples)
        held += samples.size
        total += samples.size
        if total > max_s * SAMPLE_RATE_HZ:
            raise InvalidRequest(
                f"the audio is longer than the {max_s:g} s that this model takes at once; "
                "send it in shorter parts",
                param="file",
            )
        if held >= piece_s * SAMPLE_RATE_HZ or len(piece) >= PIECE_PACKETS:
            yield np.concatenate(piece)
            piece, held = [], 0
    if not total:
        raise _unreadable("holds no sound that can be decoded")
    if piece:
        yield np.concatenate(piece)


def open_file(source: Source) -> InputContainer:
    """Raises `UndecodableMedia`, and `MemoryError` under a cap."""
    try:
        return av.open(
            source,
            mode="r",
            metadata_errors="ignore",
            container_options=_OPTIONS,
        )
    except MemoryError:
        raise
    except (FFmpegError, ValueError):
        raise _unreadable("is not audio that can be read") from None


def _audio_stream(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise _unreadable("holds no audio track")
    stream = container.streams.audio[0]
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
    if codec not in CODECS:
        raise _unreadable(f"holds audio of a kind that is not decoded here ({codec})")
    return stream


def _decoded(container: InputContainer, stream: AudioStream) -> Iterator[Samples]:
    """What each packet brings, sometimes nothing, with silence where the file's clock has a gap."""
    start_us = container.start_time
    timeline = Timeline(None if start_us is None else start_us / av.time_base)
    mono = _Mono()
    for packet in _packets(container, stream):
        try:
            frames = stream.decode(packet)
        except MemoryError:
            raise
        except FFmpegError:
            frames = []
        yield _NOTHING
        for frame in frames:
            if gap_s := timeline.place(frame.time, frame.samples / max(1, frame.rate)):
                yield mono.flush()
                yield from _silence(gap_s)
            yield mono.push(frame)
    yield mono.flush()


def _silence(seconds: float) -> Iterator[Samples]:
    left = round(seconds * SAMPLE_RATE_HZ)
    while left > 0:
        size = min(left, int(PIECE_S * SAMPLE_RATE_HZ))
        yield np.zeros(size, np.float32)
        left -= size


def _packets(container: InputContainer, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
    """Where a file can no longer be read is its end."""
    try:
        yield from container.demux(stream)
    except MemoryError:
        raise
    except FFmpegError:
        return


class _Mono:
    """Resamples to mono at 16 kHz. A stream may change its rate or its channels midway, say at the
    joints of a chained Ogg file."""

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None
        self._downmix = Downmix()
        self._frames = 0

    def push(self, frame: AudioFrame) -> Samples:
        shape = (frame.format.name, frame.layout.name, frame.rate)
        flushed = _NOTHING
        if shape != self._shape:
            _check(frame)
            flushed = self.flush()
            self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
            self._downmix = Downmix()
            self._shape = shape
        frame = self._uncancelled(frame)
        frame.pts = None
        return np.concatenate([flushed, self._run(frame)])

    def flush(self) -> Samples:
        """The samples still held in the filter."""
        flushed = self._run(None)
        self._resampler = self._shape = None
        return flushed

    def _uncancelled(self, frame: AudioFrame) -> AudioFrame:
        """``frame``, or where its channels would cancel each other one of them in all places."""
        count = frame.layout.nb_channels
        self._frames += 1
        if count == 1 or (self._downmix.chosen is None and self._frames % LOOK_EVERY != 1):
            return frame
        planar = frame.to_ndarray()
        channels = planar if frame.format.is_planar else planar.reshape(-1, count).T
        # Samples without a sign have their zero in the middle.
        middle = 128 if channels.dtype == np.uint8 else 0
        chosen = self._downmix.choose(
            channels.astype(np.float32) - np.float32(middle), frame.samples / frame.rate
        )
        if chosen is None:
            return frame
        return _everywhere(frame, channels[chosen])

    def _run(self, frame: AudioFrame | None) -> Samples:
        if self._resampler is None:
            return _NOTHING
        try:
            out = self._resampler.resample(frame)
        except MemoryError:
            raise
        except (FFmpegError, ValueError):
            raise _unreadable("has channels that cannot be mixed into one") from None
        # 16-bit integers clip what is out of range, and hold no infinity, as float files may.
        samples = [piece.to_ndarray().reshape(-1) for piece in out]
        return np.concatenate([_NOTHING, *samples]).astype(np.float32) / np.float32(32768)


def _everywhere(frame: AudioFrame, samples: npt.NDArray[Any]) -> AudioFrame:
    """A frame like ``frame`` with ``samples`` in each channel."""
    count = frame.layout.nb_channels
    planar = frame.format.is_planar
    array = np.tile(samples, (count, 1)) if planar else np.repeat(samples, count)[None]
    filled = AudioFrame.from_ndarray(array, format=frame.format.name, layout=frame.layout.name)
    filled.rate = frame.rate
    filled.time_base = frame.time_base
    return filled


def _check(frame: AudioFrame) -> None:
    if not MIN_RATE_HZ <= frame.rate <= MAX_RATE_HZ:
        raise _unreadable(f"has a sample rate of {frame.rate} Hz, outside 4 to 384 kHz")
    if not 1 <= frame.layout.nb_channels <= MAX_CHANNELS:
        raise _unreadable(f"has {frame.layout.nb_channels} channels, more than {MAX_CHANNELS}")


def _unreadable(what: str) -> UndecodableMedia:
    return UndecodableMedia(f"the file {what}; {_SEND}", param="file")
