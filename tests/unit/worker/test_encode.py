"""Sound to files: each format is read again, and its beginning comes before its end is known."""

from __future__ import annotations

import io
from typing import get_args

import av
import numpy as np
import pytest

from ipc.messages.jobs import AudioFormat
from worker.audio import decode
from worker.audio.decode import Samples
from worker.audio.encode import Encoder
from worker.audio.tempo import at_pace

FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
RATE_HZ = 24_000


def tone(seconds: float, hz: float = 440.0) -> Samples:
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.5 * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def encoded(form: AudioFormat, samples: Samples, piece: int = 2400) -> list[bytes]:
    encoder = Encoder(form, RATE_HZ)
    pieces = [encoder.push(samples[at : at + piece]) for at in range(0, samples.size, piece)]
    return [*pieces, encoder.finish()]


def read(form: AudioFormat, data: bytes) -> Samples:
    """At 16 kHz, as the decoder of uploads gives it."""
    if form == "pcm":
        return (np.frombuffer(data, "<i2")[::3] / 32768).astype(np.float32)
    return decode.decode(data)


def pitch_hz(samples: Samples, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(np.fft.rfftfreq(samples.size, 1 / rate_hz)[spectrum.argmax()])


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_holds_its_sound(form: AudioFormat) -> None:
    samples = read(form, b"".join(encoded(form, tone(2))))
    rate_hz = 8_000 if form == "pcm" else decode.SAMPLE_RATE_HZ
    assert samples.size / rate_hz == pytest.approx(2, abs=0.08)
    assert pitch_hz(samples, rate_hz) == pytest.approx(440, abs=2)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_s_beginning_can_be_heard_before_its_end_is_known(form: AudioFormat) -> None:
    encoder = Encoder(form, RATE_HZ)
    begun = b"".join(encoder.push(tone(0.1)) for _ in range(10))
    rate_hz = 8_000 if form == "pcm" else decode.SAMPLE_RATE_HZ
    assert read(form, begun).size / rate_hz > 0.7


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_does_not_depend_on_how_its_sound_came(form: AudioFormat) -> None:
    samples = tone(1)
    whole = b"".join(encoded(form, samples, samples.size))
    cut = b"".join(encoded(form, samples, 1000))
    if form == "opus":  # its pages have a serial number drawn by chance
        assert np.allclose(read(form, whole), read(form, cut), atol=1e-3)
    else:
        assert whole == cut


def test_too_loud_a_sound_is_clipped() -> None:
    (data, _) = encoded("pcm", np.array([-3, -1, 0, 1, 3], np.float32))
    assert np.frombuffer(data, "<i2").tolist() == [-32767, -32767, 0, 32767, 32767]


def test_a_wav_of_unknown_length_says_so() -> None:
    data = b"".join(encoded("wav", tone(0.1)))
    assert data[:8] == b"RIFF\xff\xff\xff\xff"
    with av.open(io.BytesIO(data)) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == "pcm_s16le"


@pytest.mark.parametrize("pace", [0.25, 0.5, 0.9, 1.0, 1.1, 2.0, 3.0, 4.0])
def test_another_pace_has_the_same_pitch(pace: float) -> None:
    samples = at_pace(tone(3), RATE_HZ, pace)
    assert samples.size / RATE_HZ == pytest.approx(3 / pace, rel=0.03)
    assert pitch_hz(samples, RATE_HZ) == pytest.approx(440, abs=2)


def test_nothing_at_another_pace_is_nothing() -> None:
    assert at_pace(np.empty(0, np.float32), RATE_HZ, 2.0).size == 0
