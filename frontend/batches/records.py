"""What is kept of files and batches, and the way of a batch from one status to the next. Pure.

Times are in seconds since 1970, as clients are told them.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Literal, TypeVar

import msgspec

from ipc.runtime.document import Schema

Purpose = Literal["batch", "batch_output"]
Status = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]
ENDED: frozenset[Status] = frozenset({"failed", "completed", "expired", "cancelled"})
# In which a batch may still be called off.
OPEN: frozenset[Status] = frozenset({"validating", "in_progress"})
WINDOW_S = 24 * 3600
# Of batches that have ended; the oldest make room.
MOST_ENDED = 1000
MOST_FILES = 2000
# Stands in place of a key that was removed; no key can be called so.
NOBODY = "(removed)"


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file of lines. ``key`` is the name of the API key whose it is; None: it came without."""

    id: str
    name: str
    purpose: Purpose
    size_bytes: int
    created_at: int
    key: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a batch cannot be begun; ``line`` counts from 1."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """``at`` has when it came to each status. Results are written to the files ``output_id`` and
    ``errors_id`` from the beginning; they are files for clients when the batch has ended, those
    that hold anything."""

    id: str
    endpoint: str
    input_id: str
    output_id: str
    errors_id: str
    created_at: int
    key: str | None = None
    metadata: dict[str, str] | None = None
    status: Status = "validating"
    at: dict[Status, int] = {}
    total: int = 0
    completed: int = 0
    failed: int = 0
    problems: tuple[Problem, ...] = ()

    @property
    def expires_at(self) -> int:
        return self.created_at + WINDOW_S

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def counted(self, completed: int, failed: int) -> Batch:
        return msgspec.structs.replace(self, completed=completed, failed=failed)

    def moved(self, status: Status, now: int) -> Batch:
        return msgspec.structs.replace(self, status=status, at={**self.at, status: now})

    def begun(self, total: int, now: int) -> Batch:
        """Its file is in order and has so many lines. Unless it was called off meanwhile."""
        if self.status != "validating":
            return self
        return msgspec.structs.replace(self.moved("in_progress", now), total=total)

    def refused(self, problems: tuple[Problem, ...], now: int) -> Batch:
        """It cannot be begun. Unless it was called off meanwhile."""
        if self.status != "validating":
            return self
        return msgspec.structs.replace(self.moved("failed", now), problems=problems)

    def called_off(self, now: int) -> Batch:
        return self.moved("cancelling", now) if self.status in OPEN else self

    def all_done(self, now: int) -> Batch:
        return self.moved("finalizing", now) if self.status == "in_progress" else self

    def ended(self, completed: int, failed: int, now: int) -> Batch:
        """Nothing more will come: all was done, it was called off, or its time is over."""
        last: dict[Status, Status] = {"finalizing": "completed", "cancelling": "cancelled"}
        moved = self.moved(last.get(self.status, "expired"), now)
        return moved.counted(completed, failed)


T = TypeVar("T", File, Batch)


class Index(msgspec.Struct, frozen=True):
    """All of them by their ids, oldest first. Each change makes another index."""

    files: dict[str, File] = {}
    batches: dict[str, Batch] = {}

    def with_files(self, *files: File) -> Index:
        return Index({**self.files, **{file.id: file for file in files}}, self.batches)

    def without_file(self, file_id: str) -> Index:
        kept = {name: file for name, file in self.files.items() if name != file_id}
        return Index(kept, self.batches)

    def with_batch(self, batch: Batch) -> Index:
        """A new batch, or one that has changed."""
        batches = {**self.batches, batch.id: batch}
        ended = [one.id for one in batches.values() if one.has_ended]
        for forgotten in ended[: max(0, len(ended) - MOST_ENDED)]:
            del batches[forgotten]
        return Index(self.files, batches)

    def owned_by(self, keys: Collection[str]) -> Index:
        """What was made with a key that is none of ``keys`` is nobody's from now on."""
        if not any(map(partial(_has_lost, keys), (*self.files.values(), *self.batches.values()))):
            return self
        return Index(
            {one.id: _owned(one, keys) for one in self.files.values()},
            {one.id: _owned(one, keys) for one in self.batches.values()},
        )

    def without_nobodys(self) -> Index:
        """Without what is nobody's, but for batches that have not ended, and what they read."""
        read = {one.input_id for one in self.unfinished}
        gone = [one.id for one in self.files.values() if one.key == NOBODY and one.id not in read]
        gone += [one.id for one in self.batches.values() if one.key == NOBODY and one.has_ended]
        if not gone:
            return self
        return Index(
            {name: one for name, one in self.files.items() if name not in gone},
            {name: one for name, one in self.batches.items() if name not in gone},
        )

    @property
    def unfinished(self) -> list[Batch]:
        return [batch for batch in self.batches.values() if not batch.has_ended]

    def reads(self, file_id: str) -> Batch | None:
        """The batch that is not done with this file."""
        return next((one for one in self.unfinished if one.input_id == file_id), None)


def _has_lost(keys: Collection[str], one: File | Batch) -> bool:
    return one.key is not None and one.key not in keys and one.key != NOBODY


def _owned(one: T, keys: Collection[str]) -> T:
    return msgspec.structs.replace(one, key=NOBODY) if _has_lost(keys, one) else one


SCHEMA = Schema("index.json", Index)
