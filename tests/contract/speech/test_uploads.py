"""Recordings on their way to a server with a real model: heard while they come, left at once."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator

import psutil
import pytest

from tests.contract.subjects import MOONSHINE, real_model, recording
from tests.process.box import Box, boxes, spec, wait_until
from tests.process.uploads.client import FILE, Uploader

NAME = "heard/speech"
RATE_HZ = 16_000
PART_BYTES = 64 << 10


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    one = spec(
        NAME, task="speech", engine="moonshine", path=str(real_model(MOONSHINE)), slots=2, threads=2
    )
    with boxes() as make:
        yield make(one).wait_ready()


def repeated(times: int) -> bytes:
    """Eleven seconds of speech and three of silence so often, as a WAV file."""
    with wave.open(io.BytesIO(recording("jfk.wav"))) as spoken:
        speech = spoken.readframes(spoken.getnframes())
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(times * (speech + bytes(3 * 2 * RATE_HZ)))
    return file.getvalue()


def test_words_are_told_before_the_upload_ends(box: Box) -> None:
    data = repeated(3)
    half = len(data) // 2
    with Uploader(box) as one:
        one.raw.socket.settimeout(100)
        one.fields(NAME, stream="true", language="en").send(FILE, data[:half])
        assert b"transcript.text.delta" in one.raw.read_until(b"transcript.text.delta")
        rest = one.send(data[half:]).end().raw.read_until(b"transcript.text.done")
    assert b"transcript.text.done" in rest


def test_a_client_that_leaves_frees_the_worker(box: Box) -> None:
    """Half an hour is longer than the deadline for it to come to rest."""
    data = repeated(140)
    worker = psutil.Process(box.replica(NAME)["pid"])
    with Uploader(box) as one:
        one.raw.socket.settimeout(100)
        one.fields(NAME, stream="true", language="en").send(FILE)
        one.send(*(data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES))).end()
        one.raw.read_until(b"transcript.text.delta")
    wait_until(lambda: box.queue(NAME)["in_flight"] == 0)
    files = {"file": ("a.wav", recording("jfk.wav"))}
    answer = box.client.post("/v1/audio/transcriptions", data={"model": NAME}, files=files)
    assert "country" in answer.json()["text"]
    wait_until(lambda: _rests(worker))


def _rests(worker: psutil.Process) -> bool:
    """Whether it does next to nothing for half a second."""
    return worker.cpu_percent(0.5) < 10
