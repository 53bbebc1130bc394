"""Sound that another server sends: bytes in, the file and its length out."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from ipc.messages.errors import InternalError, UnsupportedParameter
from ipc.messages.jobs import AudioFormat, SpeakInput
from worker.engines.upstream.speak import Sound, WavReader, speak_body, voices

SAMPLES = (np.sin(np.arange(2400) / 5) * 20_000).astype("<i2")


def wav(samples: np.ndarray = SAMPLES, *, rate_hz: int = 24_000, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(2)
        written.setframerate(rate_hz)
        written.writeframes(samples.tobytes())
    return file.getvalue()


def said(data: bytes, form: AudioFormat = "pcm", size: int = 1000) -> tuple[bytes, float]:
    """The file that is made of ``data``, which comes in pieces of ``size``, and its length in s."""
    sound = Sound("job", SpeakInput(text="Hi", format=form))
    pieces = [sound.feed(data[at : at + size]) for at in range(0, len(data), size)]
    made = b"".join(piece.data.data for piece in [*pieces, sound.end()] if piece)
    return made, sound.result().duration_s


def test_what_is_asked() -> None:
    assert speak_body(SpeakInput(text="Hi", voice="ann", speed=2.0, format="mp3"), "m") == {
        "model": "m",
        "input": "Hi",
        "voice": "ann",
        "response_format": "wav",
        "speed": 2.0,
    }
    assert speak_body(SpeakInput(text="Hi"), "m").keys() == {"model", "input", "response_format"}


@pytest.mark.parametrize("size", [1, 7, 45, 5000])
def test_sound_is_the_same_in_whatever_pieces_it_comes(size: int) -> None:
    made, seconds = said(wav(), size=size)
    assert seconds == 0.1
    assert np.abs(np.frombuffer(made, "<i2").astype(int) - SAMPLES).max() <= 1


def test_a_file_of_unknown_length_is_read_to_its_end() -> None:
    data = bytearray(wav())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert said(bytes(data)) == said(wav())


def test_what_stands_before_the_sound_is_passed_over() -> None:
    data = wav()
    listed = data[:36] + b"LIST\x03\x00\x00\x00abc\x00" + data[36:]
    assert said(listed) == said(data)


def test_channels_are_mixed() -> None:
    made, seconds = said(wav(np.repeat(SAMPLES, 2), channels=2), size=3)
    assert (len(made), seconds) == (2 * SAMPLES.size, 0.1)


def test_the_file_is_of_the_form_that_was_asked_for() -> None:
    assert said(wav(rate_hz=22_050), "wav")[0].startswith(b"RIFF")
    assert said(wav(), "flac")[0].startswith(b"fLaC")
    assert said(wav(), "opus")[0].startswith(b"OggS")


def test_pcm_has_no_place_to_say_another_rate() -> None:
    with pytest.raises(UnsupportedParameter, match="22050 Hz") as refused:
        said(wav(rate_hz=22_050), "pcm")
    assert refused.value.param == "response_format"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"ID3\x04" + b"\x00" * 100, "in another form"),
        (b"", "no sound"),
        (wav()[:44], "no sound"),
        (b"RIFF\x00\x00\x00\x00WAVEdata\x00\x00\x00\x00abcd", "without a format"),
        (wav().replace(b"\x10\x00data", b"\x08\x00data"), "of 8 bits"),
        (b"RIFF\x00\x00\x00\x00WAVE" + b"junk\x04\x00\x00\x00abcd" * 9000, "in another form"),
    ],
)
def test_what_is_no_sound_is_an_error(data: bytes, told: str) -> None:
    with pytest.raises(InternalError, match=told):
        said(data)


def test_no_sample_is_lost_between_reads() -> None:
    reader = WavReader()
    data = wav()
    assert sum(reader.feed(data[at : at + 3]).size for at in range(0, len(data), 3)) == 2400


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"voices": [{"id": "ann", "model": "m"}, {"id": "bob", "model": "other"}]}', ["ann"]),
        (b'{"voices": ["af_heart", "bm_fable"]}', ["af_heart", "bm_fable"]),
        (b'{"voices": [{"name": "ann", "aliases": ["alloy"]}, {}]}', ["ann"]),
        (b"[]", []),
        (b"no json", []),
    ],
)
def test_voices_are_listed_in_several_forms(body: bytes, names: list[str]) -> None:
    assert [voice.name for voice in voices(body, "m")] == names
