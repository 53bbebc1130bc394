"""One JSON file of the state folder: a schema version, and content of one type.

    {"version": 1, "content": …}

A file of an older version is migrated step by step; one of a newer version is refused, since what
it says is not known here. Whoever only reads changes nothing on the disk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from ipc.runtime import durable

T = TypeVar("T")

Step = Callable[[Any], Any]


class NewerSchema(Exception):
    """The file was written by a later release."""


class Damaged(Exception):
    """The file holds nothing that can be understood."""


class InUse(Exception):
    """Another process writes the file."""


class _Envelope(msgspec.Struct, frozen=True):
    version: int
    content: msgspec.Raw


@dataclass(frozen=True)
class Schema(Generic[T]):
    """What the file ``name`` holds: ``content`` is its type in the present version.

    ``steps`` make the content of each version from that of the one before, both as JSON has them;
    the first of them begins with version ``oldest``.
    """

    name: str
    content: type[T]
    steps: tuple[Step, ...] = ()
    oldest: int = 1

    @property
    def version(self) -> int:
        return self.oldest + len(self.steps)

    def decode(self, data: bytes, file: Path) -> tuple[T, int]:
        """The content, and the version that the file had. Raises `NewerSchema` and `Damaged`."""
        try:
            found = msgspec.json.decode(data, type=_Envelope)
        except msgspec.MsgspecError as error:
            raise Damaged(f"{file} is damaged: {error}") from None
        if found.version > self.version:
            raise NewerSchema(
                f"{file} has schema version {found.version}, and this edge-serve knows "
                f"{self.version} at most; start the release that wrote it, or move the file away"
            )
        if found.version < self.oldest:
            raise Damaged(f"{file} has schema version {found.version}, which never was")
        return self._migrated(found, file), found.version

    def _migrated(self, found: _Envelope, file: Path) -> T:
        steps = self.steps[found.version - self.oldest :]
        try:
            if not steps:
                return msgspec.json.decode(found.content, type=self.content)
            content = msgspec.json.decode(found.content)
            for step in steps:
                content = step(content)
            return msgspec.convert(content, type=self.content)
        except (msgspec.MsgspecError, LookupError, TypeError, AttributeError, ValueError) as error:
            raise Damaged(f"{file} is damaged: {error}") from None

    def encode(self, content: T) -> bytes:
        whole = {"version": self.version, "content": content}
        return msgspec.json.format(msgspec.json.encode(whole)) + b"\n"


def read(folder: Path, schema: Schema[T]) -> T | None:
    """The content of the file in ``folder``; None if there is none that can be read. Raises
    `NewerSchema` and `Damaged`."""
    file = folder / schema.name
    try:
        data = file.read_bytes()
    except OSError:
        return None
    return schema.decode(data, file)[0]


class Writer(Generic[T]):
    """The one process that writes a file, from `open` to `close` or its own end."""

    def __init__(self, folder: Path, schema: Schema[T]) -> None:
        self._file = folder / schema.name
        self._schema = schema
        self._hold = contextlib.ExitStack()
        self.content: T | None = None
        self.moved_aside: Path | None = None  # a file that was there and could not be understood

    def open(self) -> None:
        """Read the file, migrated if it is an older one. Raises `InUse`, `NewerSchema`, `OSError`.

        The older file is kept as ``<name>.v<its version>`` until the new one is on the disk.
        """
        self._hold.enter_context(durable.held(self._beside("lock"), self._take))
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def write(self, content: T) -> None:
        """Raises `OSError`; the file is then as it was."""
        durable.write_file(self._file, self._schema.encode(content), 0o600)
        self.content = content

    def exists(self) -> bool:
        return self._file.exists()

    def remove(self) -> None:
        """Raises `OSError`."""
        self._file.unlink(missing_ok=True)
        self.content = None

    def close(self) -> None:
        self._hold.close()

    def _read(self) -> None:
        try:
            self.content, version = self._schema.decode(self._file.read_bytes(), self._file)
        except FileNotFoundError:
            return
        except Damaged:
            self.moved_aside = self._beside("damaged")
            self._file.replace(self.moved_aside)
            return
        if version < self._schema.version:
            self._migrate(self.content, version)

    def _migrate(self, content: T, version: int) -> None:
        old = self._beside(f"v{version}")
        old.unlink(missing_ok=True)  # of a migration that was interrupted
        old.hardlink_to(self._file)
        self.write(content)
        old.unlink()

    def _take(self, take: Callable[[], bool]) -> None:
        if not take():
            raise InUse(
                f"{self._file} is written by another edge-serve; "
                "set another EDGE_SERVE_STATE_DIR for this one"
            )

    def _beside(self, ending: str) -> Path:
        return self._file.with_name(f"{self._file.name}.{ending}")
