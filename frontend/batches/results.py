"""The answers of a batch, line by line, in files that only grow.

A line is written in one go, and what is left of one that was torn is cut off when the file is next
opened. So after a crash each line has its answer once or not at all, and whoever goes on asks for
those that have none. All of this blocks, and belongs to one thread.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson

from frontend.batches.request_lines import PIECE_BYTES, REST_S
from ipc.runtime import durable


class _Answered(msgspec.Struct):
    custom_id: str


class LineFile:
    """A file to which whole lines are added. Owns it from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1
        self.size_bytes = 0

    def open(self) -> Iterator[str]:
        """The ``custom_id`` of each line that is there; to be read to the end. A line that cannot
        be read, and all after it, are cut off: it was written when the system went down."""
        self.close()
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.size_bytes = 0
        rest_at = PIECE_BYTES
        with self._path.open("rb") as file:
            for raw in file:
                custom_id = _custom_id(raw)
                if custom_id is None:
                    break
                self.size_bytes += len(raw)
                yield custom_id
                if self.size_bytes >= rest_at:
                    rest_at = self.size_bytes + PIECE_BYTES
                    time.sleep(REST_S)
        os.ftruncate(self._handle, self.size_bytes)
        os.lseek(self._handle, self.size_bytes, os.SEEK_SET)

    def append(self, line: bytes) -> None:
        """Raises `OSError`; the file is then as it was."""
        try:
            written = os.write(self._handle, line)
            while written < len(line):
                written += os.write(self._handle, line[written:])
        except OSError:
            os.ftruncate(self._handle, self.size_bytes)
            os.lseek(self._handle, self.size_bytes, os.SEEK_SET)
            raise
        self.size_bytes += len(line)

    def flush(self) -> None:
        os.fsync(self._handle)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _custom_id(raw: bytes) -> str | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        return msgspec.json.decode(raw, type=_Answered).custom_id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class Results:
    """Both files of one batch: answers, and what could not be answered."""

    def __init__(self, output: Path, errors: Path) -> None:
        self.output = LineFile(output)
        self.errors = LineFile(errors)
        self.completed = self.failed = 0
        self._folder = output.parent

    @property
    def size_bytes(self) -> int:
        return self.output.size_bytes + self.errors.size_bytes

    def open(self) -> set[str]:
        """The lines that have been answered, by their ``custom_id``. Raises `OSError`."""
        completed, failed = set(self.output.open()), set(self.errors.open())
        self.completed, self.failed = len(completed), len(failed)
        return completed | failed

    def add(self, line: bytes, *, ok: bool) -> None:
        """Raises `OSError`; the line has then no answer."""
        if ok:
            self.output.append(line)
            self.completed += 1
        else:
            self.errors.append(line)
            self.failed += 1

    def flush(self) -> None:
        """Have all of it on the disk before anybody is told that it is there."""
        self.output.flush()
        self.errors.flush()
        durable.flush(self._folder)

    def close(self) -> None:
        self.output.close()
        self.errors.close()


def answered(custom_id: str, status: int, request_id: str, body: bytes) -> bytes:
    """The line of a request that was answered, with whatever status."""
    response = {"status_code": status, "request_id": request_id, "body": orjson.Fragment(body)}
    return _line(custom_id, response, None)


def expired(custom_id: str) -> bytes:
    """The line of a request for which there was no time."""
    message = "this request could not be answered before the batch's window ended"
    return _line(custom_id, None, {"code": "batch_expired", "message": message})


def _line(custom_id: str, response: Any, error: Any) -> bytes:
    found = {
        "id": f"batch_req_{secrets.token_hex(12)}",
        "custom_id": custom_id,
        "response": response,
        "error": error,
    }
    return orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)
