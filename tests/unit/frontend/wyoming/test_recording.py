"""Recordings in chunks, and what is none."""

from __future__ import annotations

import io
import wave
from typing import Any

import pytest

from frontend.dispatch.budget import Budget
from frontend.wyoming.recording import HEAD_BYTES, Format, Recording
from ipc.messages.errors import InvalidRequest, OutOfMemory, PayloadTooLarge

MONO = Format(16_000, 2, 1)


def recording(form: Format = MONO, most_bytes: int = 1 << 20) -> Recording:
    return Recording(form, Budget(1 << 30).open(), most_bytes)


FORMS = [MONO, Format(8_000, 1, 2), Format(48_000, 4, 2), Format(22_050, 3, 1)]


@pytest.mark.parametrize("form", FORMS)
def test_chunks_become_a_file_of_their_format(form: Format) -> None:
    one = recording(form)
    samples = bytes(range(48))
    one.add(form, samples[:7])
    one.add(form, samples[7:])
    with wave.open(io.BytesIO(one.as_file())) as read:
        found = (read.getframerate(), read.getsampwidth(), read.getnchannels())
        assert Format(*found) == form
        assert read.readframes(99) == samples


def test_half_a_sample_is_none() -> None:
    one = recording()
    assert one.as_file() == b""
    one.add(MONO, b"\x01")
    assert one.as_file() == b""
    one.add(MONO, b"\x02\x03")
    assert one.as_file()[HEAD_BYTES:] == b"\x01\x02"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("rate", value) for value in (None, 0, -1, 7_999, 48_001, 1 << 70, "16000", 16e3, True)),
        *(("width", value) for value in (0, 5, None)),
        *(("channels", value) for value in (0, 3, [1])),
    ],
)
def test_a_format_is_within_bounds(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Format.of({"rate": 16_000, "width": 2, "channels": 1, "timestamp": 0} | {name: value})
    assert refused.value.param == name


def test_a_chunk_of_another_format_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="began as"):
        recording().add(Format(8_000, 2, 1), b"\0\0")


def test_a_recording_is_bounded_and_claimed() -> None:
    one = recording(most_bytes=HEAD_BYTES + 4)
    one.add(MONO, b"\0" * 4)
    with pytest.raises(PayloadTooLarge):
        one.add(MONO, b"\0")
    budget = Budget(1 << 20)
    other = budget.open()
    other.add(1 << 20)
    crowded = Recording(MONO, budget.open(), 1 << 30)
    with pytest.raises(OutOfMemory):
        crowded.add(MONO, b"\0" * (1 << 20))
