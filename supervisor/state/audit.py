"""Who has managed this server, when and how: a log that only grows, each line bound to the last.

    {"seq":7,"time":1790000000.0,"by":"ann","act":"model.load",…,"prev":"<SHA-256 of line 6>"}

So a line that was changed, left out or put in between shows. It is no proof against whoever can
write the whole file anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import queue
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from supervisor.state import background

logger = logging.getLogger(__name__)

NAME = "audit.jsonl"
# A file of this size is put aside, as .1, .2, ... the highest of which is the oldest.
FILE_BYTES, OLD_FILES = 1 << 20, 4
END_S = 2.0  # how long the last lines may take to be written
_MOST_WAITING = 1000
_FIRST = hashlib.sha256(b"").hexdigest()


def chained(entry: dict[str, Any], before: bytes | None) -> bytes:
    """The line for ``entry`` behind the line ``before``, None for the first; without its end."""
    seq = msgspec.json.decode(before)["seq"] + 1 if before else 1
    prev = hashlib.sha256(before).hexdigest() if before else _FIRST
    return msgspec.json.encode({"seq": seq, **entry, "prev": prev})


def broken_at(lines: Iterable[bytes]) -> int | None:
    """The place of the first line, from 0, that does not follow from the one before. What no file
    has any more may stand before the first."""
    before: bytes | None = None
    for place, line in enumerate(lines):
        if before is not None and line != chained(_entry(line), before):
            return place
        before = line
    return None


def _entry(line: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
    return {key: value for key, value in found.items() if key not in ("seq", "prev")}


class AuditLog:
    """Owns the file in ``folder`` from `begin` to `end`, and writes it in a thread of its own: a
    slow disk keeps nobody waiting. Where it cannot be written, that is said once in the log."""

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / NAME if folder else None
        self._todo: queue.Queue[dict[str, Any] | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)
        self._warned = False
        self._handle: int | None = None
        self._before: bytes | None = None  # the last line

    def begin(self) -> None:
        background.start(self._thread)

    def write(self, entry: dict[str, Any]) -> None:
        """Have ``entry``, which is JSON-ready, written soon."""
        try:
            self._todo.put_nowait(entry)
        except queue.Full:
            self._warn("the disk does not keep up")

    def end(self) -> None:
        """Write what is left, unless that takes too long."""
        with contextlib.suppress(queue.Full):
            self._todo.put_nowait(None)
        self._thread.join(END_S)

    def _work(self) -> None:
        while (entry := self._todo.get()) is not None:
            if self._file is None:
                continue
            try:
                self._append(self._file, entry)
            except (OSError, msgspec.MsgspecError) as error:
                self._close()  # what was written of the line is cut off when it is opened again
                self._warn(str(error))
        self._close()

    def _append(self, file: Path, entry: dict[str, Any]) -> None:
        if self._handle is None:
            self._handle = _open(file)
            self._before = _last_line(file)
        line = chained(entry, self._before)
        os.write(self._handle, line + b"\n")
        os.fsync(self._handle)
        self._before = line
        if os.fstat(self._handle).st_size >= FILE_BYTES:
            _put_aside(file)
            self._close()

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _warn(self, why: str) -> None:
        if not self._warned:
            logger.warning("audit_not_kept", extra={"why": why})
        self._warned = True


def _open(file: Path) -> int:
    """Raises `OSError`, also where another server writes it."""
    handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if torn := len(file.read_bytes().rpartition(b"\n")[2]):  # by a loss of power
            os.ftruncate(handle, os.fstat(handle).st_size - torn)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _last_line(file: Path) -> bytes | None:
    """The one that the next has to follow; of the file before, where this one is new."""
    for place in (file, file.with_name(f"{file.name}.1")):
        if place.exists() and (lines := place.read_bytes().splitlines()):
            return lines[-1]
    return None


def _put_aside(file: Path) -> None:
    for number in range(OLD_FILES, 0, -1):
        newer = file.with_name(f"{file.name}.{number - 1}") if number > 1 else file
        if newer.exists():
            newer.replace(file.with_name(f"{file.name}.{number}"))
