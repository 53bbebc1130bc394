"""A long recording that never repeats itself, with the words that are said in it.

A novel out of a package, read paragraph by paragraph by hibari in the voices of four readers, with
recorded speakers in between. The same seconds are the same recording each time.
"""

from __future__ import annotations

import io
import random
import re
import wave
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ipc.messages.events import Audio
from ipc.messages.jobs import SpeakInput
from ipc.messages.spec import Spec
from supervisor.config.settings import ROOT
from supervisor.models.store import PackedFile, fetch_files
from tests.bench.models import Say
from tests.bench.sound.recorded import Recording, recordings
from worker.audio import decode
from worker.audio.decode import SAMPLE_RATE_HZ, Samples
from worker.audio.encode import Encoder
from worker.engines.hibari.engine import HibariSpeaker
from worker.speaking.speaker import Speaker
from worker.speaking.speech import Speech

FOLDER = ROOT / ".peers" / "readings"
# Alice's Adventures in Wonderland, in the public domain, as compressors are tested with it.
_PACKAGE, _MEMBER = "brotli==1.1.0", "Brotli-1.1.0/tests/testdata/alice29.txt"
_SHA256 = "7467306ee0feed4971260f3c87421154a05be571d944e9cb021a5713700c38f0"
# To be raised when the same seconds become another recording.
_FORMAT = 2
_FEWEST_WORDS = 8
_PAUSES_S = (0.3, 1.6)
_NOISE = 0.001  # the room, of full scale: -60 dB
_SPEAKER_EVERY = 6  # paragraphs, while there are speakers


class Reader(NamedTuple):
    """How one reads: the pitch as a factor, and the pace."""

    pitch: float
    pace: float


READERS = (Reader(1.0, 1.0), Reader(0.85, 1.1), Reader(1.12, 0.95), Reader(0.92, 1.2))


def reading(seconds: float, spec: Spec, say: Say) -> Recording:
    """At least ``seconds``, read by the voice of ``spec``; made where it is not there yet. In
    Opus: an hour of WAV is more than a server takes.

    Raises `FetchError`, `LoadError`, and `ConfigError` outside of a checkout.
    """
    sound = FOLDER / f"alice-{seconds:.0f}-{_FORMAT}.ogg"
    text = sound.with_suffix(".txt")
    if not (sound.is_file() and text.is_file()):
        say(f"reading {seconds:.0f} s aloud")
        samples, words = _read(seconds, spec, say)
        sound.write_bytes(_opus(samples))
        text.write_text(words)
    return Recording(sound, text.read_text())


def paragraphs_read(count: int, spec: Spec, say: Say) -> list[Recording]:
    """The first ``count`` paragraphs, each by itself. Raises as `reading` does."""
    files = [FOLDER / f"paragraph-{at}-{_FORMAT}.wav" for at in range(count)]
    if not all(file.with_suffix(".txt").is_file() for file in files):
        say(f"reading {count} paragraphs aloud")
        speaker = speaker_of(spec)
        for file, text, reader in zip(files, _book(say), cycle(READERS), strict=False):
            file.write_bytes(_wav(aloud(text, reader, speaker)))
            file.with_suffix(".txt").write_text(text)
    return [Recording(file, file.with_suffix(".txt").read_text()) for file in files]


def paragraphs(book: str) -> Iterator[str]:
    """The prose of ``book`` as one would read it: no headings, no verse, no capitals but the
    first."""
    for block in re.split(r"\n\s*\n", book):
        lines = block.splitlines()
        is_verse = any(line.startswith("     ") for line in lines)
        text = " ".join(line.strip() for line in lines)
        text = re.sub(r"[`\"*_()\[\]]|'(?=\s|$)|(?<!\w)'", "", text)
        text = re.sub(r"\s*--\s*", ", ", text)
        text = re.sub(r"\b[A-Z]{2,}\b", lambda found: found[0].lower(), re.sub(r"-\s", "-", text))
        text = re.sub(r"\s+", " ", text).strip(" ,")
        if not is_verse and len(text.split()) >= _FEWEST_WORDS:
            yield text


def _read(seconds: float, spec: Spec, say: Say) -> tuple[Samples, str]:
    speaker = speaker_of(spec)
    chance, noise = random.Random(1), np.random.default_rng(1)
    said: list[str] = []
    sound: list[Samples] = []
    held = 0
    for text, samples in _spoken(speaker, say):
        pause = np.zeros(round(chance.uniform(*_PAUSES_S) * SAMPLE_RATE_HZ), np.float32)
        said.append(text)
        sound += [samples, pause]
        held += samples.size + pause.size
        if held >= seconds * SAMPLE_RATE_HZ:
            break
    whole = np.concatenate(sound)
    return whole + noise.normal(0, _NOISE, whole.size).astype(np.float32), "\n".join(said)


def _spoken(speaker: Speaker, say: Say) -> Iterator[tuple[str, Samples]]:
    speakers = iter(recordings(say))
    for number, (text, reader) in enumerate(zip(_book(say), cycle(READERS), strict=False), 1):
        yield text, aloud(text, reader, speaker)
        if number % _SPEAKER_EVERY == 0 and (one := next(speakers, None)) is not None:
            yield one.text, decode.decode(one.path.read_bytes())


def speaker_of(spec: Spec) -> Speaker:
    """The voices of ``spec``. Raises `LoadError`."""
    speaker = HibariSpeaker()
    speaker.load(spec, lambda _: None)
    return speaker


def _book(say: Say) -> Iterator[str]:
    file = FOLDER / Path(_MEMBER).name
    if not file.is_file():
        say(f"fetching a novel out of {_PACKAGE}")
        files = {file.name: PackedFile(_MEMBER, _SHA256)}
        fetch_files(_PACKAGE, "sdist", files, FOLDER, lambda *_: None)
    return paragraphs(file.read_text())


def aloud(text: str, reader: Reader, speaker: Speaker) -> Samples:
    """A voice of another pitch is one that is played at another rate."""
    asked = SpeakInput(text=text, speed=reader.pace / reader.pitch, format="pcm")
    speech = Speech("reading", asked, "heart", speaker)
    data = bytearray()
    while True:
        events = speech.next()
        data += b"".join(event.data.data for event in events if isinstance(event, Audio))
        if not isinstance(events[-1], Audio):
            break
    rate_hz = round(speaker.traits.rate_hz * reader.pitch)
    samples = np.frombuffer(bytes(data), "<i2").astype(np.float32) / np.float32(32768)
    return decode.decode(_wav(samples, rate_hz))


def _opus(samples: Samples) -> bytes:
    encoder = Encoder("opus", SAMPLE_RATE_HZ)
    return encoder.push(samples) + encoder.finish()


def _wav(samples: Samples, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes((samples * 32767).clip(-32768, 32767).astype("<i2").tobytes())
    return file.getvalue()
