"""The files of incidents: one for each, readable by this user alone, the oldest of which go."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frontend.incidents.incident import Known
from ipc.messages.control import IncidentsConfig
from ipc.runtime import durable
from ipc.runtime.gzipped import NotUnpacked, unpacked

ENDING = ".json.gz"
MOST_FILES = 20
MOST_BYTES = 64 << 20  # of one, unpacked; one of 5000 requests has about 3 MiB


@dataclass(frozen=True, slots=True)
class Filed:
    """One of them."""

    id: str
    size_bytes: int
    known: Known


class Folder:
    """Owns ``path``. Everything here touches the disk, and may take its time."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes

    def files(self) -> list[Filed]:
        """All that there are, the newest first. What somebody else has put there is none."""
        found = []
        for file in self._path.glob(f"*{ENDING}"):
            incident_id = file.name.removesuffix(ENDING)
            known = Known.of(incident_id)
            if known is not None and file.is_file() and not file.is_symlink():
                found.append(Filed(incident_id, file.stat().st_size, known))
        return sorted(found, key=lambda one: one.id, reverse=True)

    @classmethod
    def of(cls, config: IncidentsConfig) -> Folder | None:
        """None where no files are to be kept."""
        return cls(Path(config.folder), config.max_bytes) if config.folder else None

    def summaries(self) -> list[dict[str, Any]]:
        """What each of `files` is about, JSON-ready: that which a list of them shows."""
        found = []
        for one in self.files():
            told = _summary(self._path / f"{one.id}{ENDING}")
            if told is not None:
                found.append({"id": one.id, "bytes": one.size_bytes, **told})
        return found

    def write(self, incident_id: str, data: bytes) -> None:
        """Have ``data`` on the disk, and what is too much gone. Raises `OSError`."""
        self._path.mkdir(mode=0o700, exist_ok=True)
        durable.write_file(self._path / f"{incident_id}{ENDING}", data, 0o600)
        self._prune()

    def read(self, incident_id: str) -> bytes | None:
        """The file's bytes, None where there is none."""
        if not any(one.id == incident_id for one in self.files()):
            return None
        return (self._path / f"{incident_id}{ENDING}").read_bytes()

    def _prune(self) -> None:
        total = 0
        for number, one in enumerate(self.files()):
            total += one.size_bytes
            if number >= MOST_FILES or (number > 0 and total > self._max_bytes):
                (self._path / f"{one.id}{ENDING}").unlink(missing_ok=True)


@functools.lru_cache(maxsize=4 * MOST_FILES)
def _summary(file: Path) -> dict[str, Any] | None:
    """Of a file, which is never written twice; None where it cannot be read."""
    try:
        told = json.loads(unpacked(file.read_bytes(), MOST_BYTES))
        known = {name: told[name] for name in ("what", "model", "told", "in_hand")}
        return {**known, "time": told["time_s"], "requests": len(told["requests"])}
    except (OSError, NotUnpacked, ValueError, KeyError, TypeError, RecursionError):
        return None
