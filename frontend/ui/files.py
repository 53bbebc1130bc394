"""The page's files, served from memory: read and compressed once, when somebody first asks."""

from __future__ import annotations

import functools
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

WEB = Path(__file__).parent / "web"
INDEX = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Stands in the first file for the folder of all others.
_FOLDER = b"{{folder}}"


@dataclass(frozen=True, slots=True)
class File:
    """One file, plain and as gzip has it."""

    plain: bytes
    packed: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Files:
    """All of them by their paths below `WEB`. ``version`` is a part of their address that changes
    with any of them, so that browsers may keep them for good."""

    version: str
    by_path: Mapping[str, File]

    @property
    def index(self) -> File:
        return self.by_path[INDEX]


@functools.cache
def files() -> Files:
    contents = {
        path.relative_to(WEB).as_posix(): path.read_bytes()
        for path in sorted(WEB.rglob("*"))
        if path.suffix in _TYPES
    }
    version = hashlib.sha256(b"".join(contents.values())).hexdigest()[:16]
    folder = f"/ui/{version}".encode("ascii")
    contents[INDEX] = contents[INDEX].replace(_FOLDER, folder)
    return Files(version, {name: _file(name, content) for name, content in contents.items()})


def _file(name: str, content: bytes) -> File:
    packed = gzip.compress(content, 9, mtime=0)
    return File(content, packed, _TYPES[Path(name).suffix])
