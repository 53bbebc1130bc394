"""Hostile and ordinary audio files, made here with FFmpeg's own encoders."""

from __future__ import annotations

import io
import random
import socket
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.audio.stream import AudioStream
from av.container import OutputContainer

from ipc.messages.errors import InvalidRequest, UndecodableMedia
from worker.audio import decode

ROOT = Path(__file__).parents[3]
TONE_HZ = 440.0


def tone(seconds: float, rate: int = 16_000) -> npt.NDArray[np.float32]:
    at = np.arange(int(seconds * rate), dtype=np.float32) / rate
    return np.float32(0.5) * np.sin(2 * np.pi * np.float32(TONE_HZ) * at)


def audio_stream(target: OutputContainer, codec: str, rate: int, layout: str) -> AudioStream:
    """One more track of ``target``; its encoder is opened, so that it has a frame size."""
    stream = target.add_stream(codec, rate=rate, layout=layout)
    assert isinstance(stream, AudioStream)
    stream.codec_context.open()
    return stream


def encode(
    samples: npt.NDArray[np.float32],
    container: str = "wav",
    codec: str = "pcm_s16le",
    rate: int = 16_000,
    layout: str = "mono",
) -> bytes:
    """``samples`` at 16 kHz as a file of the given kind."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as target:
        stream = audio_stream(target, codec, rate, layout)
        resampler = av.AudioResampler(
            format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size or 1024
        )
        frame = av.AudioFrame.from_ndarray(
            (samples[None] * 32_767).astype(np.int16), format="s16", layout="mono"
        )
        frame.rate = 16_000
        frame.time_base = Fraction(1, 16_000)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            target.mux(stream.encode(piece))
    return out.getvalue()


def wav(
    payload: bytes, *, code: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16
) -> bytes:
    """A WAV file with whatever header one likes."""
    block = channels * bits // 8
    header = struct.pack("<IHHIIHH", 16, code, channels, rate, rate * block, block, bits)
    body = b"WAVEfmt " + header + b"data" + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", len(body)) + body


def loudest_hz(samples: npt.NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(np.argmax(spectrum)) * decode.SAMPLE_RATE_HZ / samples.size


KINDS = [
    ("wav", "pcm_s16le", 44_100, "stereo"),
    ("wav", "pcm_f32le", 16_000, "mono"),
    ("wav", "pcm_alaw", 8_000, "mono"),
    ("mp3", "libmp3lame", 44_100, "stereo"),
    ("ipod", "aac", 44_100, "mono"),  # .m4a
    ("ipod", "alac", 44_100, "stereo"),
    ("mp4", "aac", 48_000, "stereo"),
    ("webm", "libopus", 48_000, "mono"),
    ("ogg", "libopus", 48_000, "stereo"),
    ("flac", "flac", 22_050, "mono"),
    ("aiff", "pcm_s16be", 16_000, "mono"),
    ("adts", "aac", 32_000, "mono"),
    ("mpeg", "mp2", 44_100, "mono"),
    ("caf", "pcm_s16le", 48_000, "mono"),
]


@pytest.mark.parametrize(("container", "codec", "rate", "layout"), KINDS)
def test_decodes_what_people_record(container: str, codec: str, rate: int, layout: str) -> None:
    samples = decode.decode(encode(tone(2.0), container, codec, rate, layout))
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert samples.size / decode.SAMPLE_RATE_HZ == pytest.approx(2.0, abs=0.1)
    assert loudest_hz(samples) == pytest.approx(TONE_HZ, abs=3)
    assert 0.2 < np.abs(samples).max() <= 1.0


def test_the_samples_of_a_wav_file_come_out_unchanged() -> None:
    given = np.arange(-20_000, 20_000, 7, dtype="<i2")
    assert np.array_equal(decode.decode(wav(given.tobytes())) * 32_768, given)


def timed(
    container: str,
    codec: str,
    parts: list[tuple[float, npt.NDArray[np.float32]]],
    *,
    video: bool = False,
) -> bytes:
    """A file in whose own time each of ``parts`` begins at its second; with ``video`` from 0 on."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as target:
        picture = target.add_stream("mpeg4", rate=10) if video else None
        stream = audio_stream(target, codec, 48_000, "mono")
        size = stream.frame_size or 1024
        if picture is not None:
            picture.width = picture.height = 32
            picture.pix_fmt = "yuv420p"
            for at in range(10):
                still = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                still.pts = at
                target.mux(picture.encode(still))
            target.mux(picture.encode(None))
        for start_s, samples in parts:
            wide = np.repeat(samples, 3)  # 48 kHz
            for at in range(0, wide.size - size, size):
                frame = av.AudioFrame.from_ndarray(
                    (wide[None, at : at + size] * 32_767).astype(np.int16), "s16", "mono"
                )
                frame.rate, frame.time_base = 48_000, Fraction(1, 48_000)
                frame.pts = round(start_s * 48_000) + at
                (frame,) = av.AudioResampler(format=stream.format, layout="mono").resample(frame)
                target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out.getvalue()


def begins_s(samples: npt.NDArray[np.float32], after_s: float = 0.0) -> float:
    """When it is first loud, after that second."""
    first = int(after_s * decode.SAMPLE_RATE_HZ)
    loud = np.flatnonzero(np.abs(samples[first:]) > 0.1)
    return after_s + float(loud[0]) / decode.SAMPLE_RATE_HZ


CONTAINERS = [("matroska", "aac"), ("matroska", "libopus"), ("mp4", "aac"), ("mov", "pcm_s16le")]


@pytest.mark.parametrize(("container", "codec"), CONTAINERS)
def test_a_track_that_starts_late_keeps_the_files_clock(container: str, codec: str) -> None:
    samples = decode.decode(timed(container, codec, [(5.0, tone(2.0))], video=True))
    assert begins_s(samples) == pytest.approx(5.0, abs=0.05)
    assert samples.size / decode.SAMPLE_RATE_HZ == pytest.approx(7.0, abs=0.1)


@pytest.mark.parametrize(("container", "codec"), CONTAINERS[:2])
def test_a_recording_with_a_gap_keeps_its_clock(container: str, codec: str) -> None:
    samples = decode.decode(timed(container, codec, [(0.0, tone(2.0)), (12.0, tone(2.0))]))
    assert begins_s(samples) < 0.05
    assert begins_s(samples, after_s=2.2) == pytest.approx(12.0, abs=0.05)
    assert samples.size / decode.SAMPLE_RATE_HZ == pytest.approx(14.0, abs=0.1)


def test_silence_in_a_gap_comes_in_pieces_too() -> None:
    data = timed("matroska", "libopus", [(0.0, tone(1.0)), (200.0, tone(1.0))])
    sizes = [piece.size / decode.SAMPLE_RATE_HZ for piece in decode.pieces(data)]
    assert max(sizes) <= 2 * decode.PIECE_S
    assert sum(sizes) == pytest.approx(201, abs=0.1)


def test_a_timestamp_that_cannot_be_makes_no_silence() -> None:
    data = timed("matroska", "libopus", [(0.0, tone(1.0)), (3_600.0, tone(1.0))])
    assert decode.decode(data).size / decode.SAMPLE_RATE_HZ == pytest.approx(2.0, abs=0.1)


def test_gaps_count_towards_the_longest_recording() -> None:
    data = timed("matroska", "libopus", [(200.0 * at, tone(0.5)) for at in range(4)])
    with pytest.raises(InvalidRequest, match="longer than the 300 s"):
        decode.decode(data, max_s=300)


def mixed(weights: list[float], codec: str, layout: str, container: str = "wav") -> bytes:
    """A tone in several channels, each with its weight."""
    rows = np.outer(np.array(weights, np.float32), tone(2.0, 48_000))
    out = io.BytesIO()
    with av.open(out, "w", format=container) as target:
        stream = audio_stream(target, codec, 48_000, layout)
        size = stream.frame_size or 1024
        for at in range(0, rows.shape[1] - size, size):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(rows[:, at : at + size]), "fltp", layout
            )
            frame.rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), at
            (frame,) = av.AudioResampler(format=stream.format, layout=layout).resample(frame)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out.getvalue()


LOUD = 0.5 / 2**0.5


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_f64le"])
@pytest.mark.parametrize("weights", [[1, -1], [-1, 1], [1, -0.9], [0.9, -1]])
def test_channels_in_opposite_phase_are_heard(weights: list[float], codec: str) -> None:
    samples = decode.decode(mixed(weights, codec, "stereo"))
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(LOUD, rel=0.12)
    assert loudest_hz(samples) == pytest.approx(TONE_HZ, abs=3)


@pytest.mark.parametrize(
    ("weights", "layout", "container", "codec"),
    [
        ([1, -1], "stereo", "mp3", "libmp3lame"),
        ([1, -1], "stereo", "ogg", "libopus"),
        ([1, -1, 0, 0, 0, 0], "5.1", "wav", "pcm_s16le"),
        ([0, 0, 0, 0, 1, -1], "5.1", "flac", "flac"),
        ([1, -1, 1, -1], "quad", "wav", "pcm_s16le"),
    ],
)
def test_so_they_are_in_other_files(
    weights: list[float], layout: str, container: str, codec: str
) -> None:
    samples = decode.decode(mixed(weights, codec, layout, container))
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(LOUD, rel=0.12)


@pytest.mark.parametrize(
    ("weights", "layout"),
    [([1, 0], "stereo"), ([0, 1], "stereo"), ([0, 0, 1, 0, 0, 0], "5.1"), ([1, 0, 0, 0], "quad")],
)
def test_a_voice_in_one_channel_is_heard(weights: list[float], layout: str) -> None:
    samples = decode.decode(mixed(weights, "pcm_s16le", layout))
    assert np.sqrt(np.mean(samples**2)) > LOUD / 5


def test_channels_that_agree_are_mixed_as_before() -> None:
    given = np.arange(-20_000, 20_000, 7, dtype="<i2")
    data = wav(np.repeat(given, 2).tobytes(), channels=2)
    assert np.array_equal(decode.decode(data) * 32_768, given)


def test_a_long_file_comes_in_pieces() -> None:
    data = encode(np.zeros(95 * 16_000, np.float32), "flac", "flac")
    sizes = [piece.size / decode.SAMPLE_RATE_HZ for piece in decode.pieces(data)]
    assert len(sizes) == 4
    assert max(sizes) < decode.PIECE_S + 1
    assert sum(sizes) == pytest.approx(95)


def test_floats_beyond_full_scale_and_not_numbers_become_ordinary_samples() -> None:
    wild = np.array([np.nan, np.inf, -np.inf, 9.0, 0.25] * 1000, "<f4")
    samples = decode.decode(wav(wild.tobytes(), code=3, bits=32))
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0


def silent_video() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as target:
        stream = target.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out.getvalue()


REFUSED: list[tuple[str, Callable[[], bytes]]] = [
    ("is empty", lambda: b""),
    ("not audio", lambda: b"The quick brown fox jumps over the lazy dog.\n" * 50),
    ("not audio", lambda: b"%PDF-1.7\n" + bytes(4000)),
    ("not audio", lambda: b"\x89PNG\r\n\x1a\n" + bytes(4000)),
    ("not audio", lambda: encode(tone(1.0), "ipod", "aac")[:5000]),  # its index comes last
    ("no audio track", silent_video),
    ("no sound", lambda: wav(b"")),
    ("sample rate of 1 Hz", lambda: wav(bytes(4000), rate=1)),
    ("channels", lambda: wav(bytes(64_000), channels=64)),
    ("kind that is not decoded", lambda: encode(tone(1.0), "matroska", "wavpack", 44_100)),
]


@pytest.mark.parametrize(("why", "make"), REFUSED)
def test_says_why_a_file_is_refused_and_what_to_send(why: str, make: Callable[[], bytes]) -> None:
    with pytest.raises(UndecodableMedia, match=why) as refused:
        decode.decode(make())
    assert refused.value.param == "file"
    assert "send a recording as" in refused.value.message


@pytest.mark.parametrize("seed", range(20))
def test_noise_in_place_of_a_file_is_refused(seed: int) -> None:
    with pytest.raises(UndecodableMedia):
        decode.decode(random.Random(seed).randbytes(20_000))


@pytest.mark.parametrize(
    ("container", "codec"),
    [("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("ogg", "libopus"), ("flac", "flac")],
)
def test_a_file_cut_off_in_the_middle_gives_what_it_holds(container: str, codec: str) -> None:
    data = encode(tone(4.0), container, codec, 48_000)
    samples = decode.decode(data[: len(data) // 2])
    assert 1.5 < samples.size / decode.SAMPLE_RATE_HZ < 2.5
    assert loudest_hz(samples) == pytest.approx(TONE_HZ, abs=3)


def test_damage_in_the_middle_costs_only_itself() -> None:
    data = bytearray(encode(tone(10.0), "mp3", "libmp3lame"))
    data[len(data) // 2 : len(data) // 2 + 500] = random.Random(1).randbytes(500)
    samples = decode.decode(bytes(data))
    assert samples.size / decode.SAMPLE_RATE_HZ > 9


def test_a_file_that_goes_on_without_a_sample_still_comes_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decode, "PIECE_PACKETS", 100)
    data = bytearray(encode(tone(110.0), "ipod", "alac", 48_000))
    start, end = data.index(b"mdat") + 4, data.index(b"moov")
    five_s = (end - start) // 22
    data[start + five_s : end - five_s] = bytes(end - start - 2 * five_s)
    sizes = [piece.size / decode.SAMPLE_RATE_HZ for piece in decode.pieces(bytes(data))]
    assert len(sizes) > 10
    assert max(sizes) < 2 * decode.PIECE_S
    assert sum(sizes) == pytest.approx(110, abs=0.5)


def playlist(kind: str, target: str) -> bytes:
    return {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{target}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=audio 5004 RTP/AVP 0\n",
        "dash": f'<MPD><Period><BaseURL>{target}</BaseURL></Period></MPD>'
    }[kind].encode()  # fmt: skip


@pytest.mark.parametrize("kind", ["hls", "concat", "sdp", "dash"])
def test_a_list_of_files_is_refused_and_nothing_on_it_is_opened(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.wav").write_bytes(encode(tone(1.0)))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.wav"
        for target in ("secret.wav", str(tmp_path / "secret.wav"), url):
            with pytest.raises(UndecodableMedia, match="not audio"):
                decode.decode(playlist(kind, target))
        with pytest.raises(BlockingIOError):
            server.accept()


def silence_bomb(seconds: int) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as target:
        stream = audio_stream(target, "flac", 16_000, "mono")
        for _ in range(seconds * 16_000 // stream.frame_size):
            frame = av.AudioFrame(format="s16", layout="mono", samples=stream.frame_size)
            frame.rate = 16_000
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out.getvalue()


def test_a_bomb_stops_at_the_cap_while_decoding() -> None:
    bomb = silence_bomb(seconds=3600)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match="longer than the 60 s"):
            decode.decode(bomb, max_s=60)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20 << 20  # an hour is 230 MB of float32


def index_bomb(count: int) -> bytes:
    """An MP4 file of 17 kB whose sample table announces ``count`` samples."""
    data = bytearray(encode(tone(2.0), "mp4", "aac"))
    size_table, chunk_table, time_table = (data.index(name) for name in (b"stsz", b"stsc", b"stts"))
    struct.pack_into(">II", data, size_table + 8, 1, count)
    struct.pack_into(">III", data, chunk_table + 8, 1, 1, count)
    struct.pack_into(">I", data, time_table + 12, count)
    return bytes(data)


MEASURE = """
import resource, sys
from av.audio.stream import AudioStream
from av.container import OutputContainer

from ipc.messages.errors import UndecodableMedia
from worker.audio import decode
data = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode.decode(data)
except UndecodableMedia:
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, limits)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts memory on Linux only")
def test_an_index_bomb_finds_no_memory_to_grow_in() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE],
        input=index_bomb(50_000_000),
        capture_output=True,
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    grown_kib, _, limits = ran.stdout.decode().partition(" ")
    assert int(grown_kib) < (decode.MAX_DECODE_BYTES >> 10) + 50_000  # it would be 1,800,000
    assert limits.strip() == "(-1, -1)"


def test_memory_that_runs_out_while_decoding_refuses_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(UndecodableMedia, match="more memory"):
        decode.decode(b"RIFF")
