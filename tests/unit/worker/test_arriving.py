"""Files that are decoded while they come: the sound of the whole file, and no thread left."""

from __future__ import annotations

import struct
import threading

import numpy as np
import pytest

from ipc.messages.errors import InvalidRequest, UndecodableMedia
from tests.unit.worker.test_audio import encode, tone
from worker.audio import decode
from worker.audio.arriving import AHEAD_BYTES, Arriving, FileInOrder, arriving, is_read_in_order

SECONDS = 12.0
BEGINNING_BYTES = 3_000
IN_ORDER = [
    ("wav", "pcm_s16le", 16_000),
    ("mp3", "libmp3lame", 16_000),
    ("ogg", "libopus", 48_000),
    ("flac", "flac", 16_000),
    ("webm", "libopus", 48_000),
    ("adts", "aac", 16_000),
    ("mpeg", "mp2", 16_000),
]
AS_A_WHOLE = [("mp4", "aac", 16_000), ("caf", "pcm_s16le", 16_000), ("aiff", "pcm_s16be", 16_000)]


def come(file: Arriving, data: bytes, step: int = 5_000) -> tuple[decode.Samples, int]:
    """Its sound, and how much of that was there before its end was."""
    found: list[decode.Samples] = []
    early, at = 0, BEGINNING_BYTES
    while True:
        if file.is_due:
            samples = file.read()
            if samples is None:
                return np.concatenate(found), early
            found.append(samples)
            early += 0 if file.is_complete else samples.size
        else:
            file.add(data[at : at + step], last=at + step >= len(data))
            at += step


@pytest.mark.parametrize(("container", "codec", "rate"), [*IN_ORDER, *AS_A_WHOLE])
def test_the_sound_is_that_of_the_whole_file(container: str, codec: str, rate: int) -> None:
    data = encode(tone(SECONDS), container, codec, rate)
    whole = decode.decode(data)
    file = arriving(data[:BEGINNING_BYTES], SECONDS + 1, whole=False)
    samples, early = come(file, data)
    file.close()
    # Of an MP3 the encoder's padding at the end stays: it is known to whoever has the whole file.
    assert np.array_equal(samples[: whole.size], whole)
    assert samples.size - whole.size < 0.05 * decode.SAMPLE_RATE_HZ
    if (container, codec, rate) in IN_ORDER:
        assert early > whole.size / 2
    else:
        assert early == 0


def test_which_files_can_be_read_in_order() -> None:
    assert is_read_in_order(b"\xff\xfb\x90\x00")
    assert not is_read_in_order(b"\xff\x00")
    assert not is_read_in_order(b"\x00\x00\x00\x1cftypM4A ")


def test_a_file_that_breaks_off_gives_what_it_holds() -> None:
    data = encode(tone(SECONDS), "ogg", "libopus", 48_000)
    samples, _ = come(arriving(data[:BEGINNING_BYTES], 60.0, whole=False), data[: len(data) // 2])
    assert 0 < samples.size < SECONDS * decode.SAMPLE_RATE_HZ


def test_what_follows_the_sound_is_taken_and_left() -> None:
    data = encode(tone(1.0)) + bytes(2 * AHEAD_BYTES)
    samples, _ = come(arriving(data[:BEGINNING_BYTES], 60.0, whole=False), data)
    assert samples.size == decode.SAMPLE_RATE_HZ


def test_nobody_waits_for_what_follows_the_sound() -> None:
    data = encode(tone(1.0), "ogg", "libopus", 48_000) + bytes(2 * AHEAD_BYTES)
    file = FileInOrder(data, 60.0)
    samples = file.read()
    assert samples is not None
    assert samples.size == decode.SAMPLE_RATE_HZ
    assert file.wants
    assert not file.has_plenty
    assert not file.is_due
    file.close()


def test_one_that_is_no_audio_is_refused_as_the_whole_is() -> None:
    file = FileInOrder(b"RIFF" + bytes(100), 60.0)
    file.add(b"", last=True)
    with pytest.raises(UndecodableMedia):
        file.read()


def test_a_place_that_no_file_on_a_disk_can_have_is_no_error_of_the_disk() -> None:
    """A chunk of nearly 2**63 bytes, to whose end FFmpeg goes."""
    good = encode(tone(1.0), "caf", "pcm_s16le", 16_000)
    at = good.index(b"desc") + 12 + 32
    bad = good[:at] + b"free" + struct.pack(">q", (1 << 63) - 256) + good[at:]
    file = arriving(bad[:BEGINNING_BYTES], 60.0, whole=False)
    samples, _ = come(file, bad)
    file.close()
    assert samples.size == decode.SAMPLE_RATE_HZ


def test_one_that_is_too_long_is_refused_before_its_end() -> None:
    data = encode(tone(SECONDS))
    file = FileInOrder(data[: len(data) // 2], 2.0)
    with pytest.raises(InvalidRequest, match="longer than"):
        file.read()


@pytest.mark.parametrize("has_begun", [True, False])
def test_closing_ends_the_thread(has_begun: bool) -> None:
    data = encode(tone(SECONDS))
    before = set(threading.enumerate())
    file = FileInOrder(data[:BEGINNING_BYTES], 60.0)
    (thread,) = set(threading.enumerate()) - before
    if has_begun:
        file.read()
    file.close()
    thread.join(20)
    assert not thread.is_alive()
