"""Files and batches on the disk, of which one process at a time is the owner.

    <state folder>/batches/index.json    what there is; each change makes the whole file anew
                           files/<id>    lines, also those of results that are still coming
                           uploads/      what is on its way in

Whatever blocks is done in one thread, in the order in which it was asked for.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from frontend.batches.records import SCHEMA, Batch, File, Index
from frontend.batches.results import Results
from ipc.messages.errors import PayloadTooLarge
from ipc.runtime import durable
from ipc.runtime.document import InUse, Writer

logger = logging.getLogger(__name__)

# Another frontend has the folder: the one before this, which ends, or that of another server.
LOCK_S = 0.25

P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """Owns the folder from `open` to `close`. ``index`` is what was last written."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.index = Index()
        self._folder = folder
        self._most_bytes = most_bytes
        self._growing: dict[str, Results] = {}  # of batches that run
        self._expected_bytes = 0  # of uploads that are on their way
        self._writer = Writer(folder, SCHEMA)
        self._changing = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")

    async def open(self) -> None:
        """Returns when the folder is this process's own. Raises `NewerSchema`, and `OSError`."""
        waited = False
        while True:
            try:
                self.index = await self.do(self._open)
                return
            except InUse:
                if not waited:
                    logger.warning("batches_in_use", extra={"folder": str(self._folder)})
                waited = True
                await asyncio.sleep(LOCK_S)

    async def close(self) -> None:
        """What was asked for before is done first."""
        await self.do(self._writer.close)
        self._thread.shutdown(wait=False)

    async def do(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have it done by the thread; it is done even if nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(act, *args, **kwargs))

    async def change(self, act: Callable[[Index], Index]) -> Index:
        """Make another index of the present one, and have it on the disk. Raises what ``act`` does,
        and `OSError`; nothing has changed then."""
        return await asyncio.shield(asyncio.ensure_future(self._change(act)))

    async def change_batch(self, batch_id: str, act: Callable[[Batch], Batch]) -> Batch:
        """As `change`, of one batch."""

        def changed(old: Index) -> Index:
            batch = act(old.batches[batch_id])
            return old if batch is old.batches[batch_id] else old.with_batch(batch)

        return (await self.change(changed)).batches[batch_id]

    async def add_file(self, file: File, upload: Path) -> None:
        """An upload has come whole. Raises `OSError`."""
        await self.do(_settle, upload, self.path(file.id))
        await self.change(lambda old: old.with_files(file))

    async def remove(self, file_id: str) -> None:
        """Of a file that the index no longer has. Raises `OSError`."""
        await self.do(self.path(file_id).unlink, missing_ok=True)

    @contextmanager
    def upload(self, expected_bytes: int) -> Iterator[Path]:
        """Where an upload may be written until it is added. Raises `PayloadTooLarge`."""
        if self.room_bytes < expected_bytes:
            raise PayloadTooLarge(
                f"the files of batches may have {self._most_bytes >> 20} MB together, this "
                "server's BATCH_STORAGE_MB, and there is no room for this one; delete some"
            )
        self._expected_bytes += expected_bytes
        place = self._folder / "uploads" / secrets.token_hex(12)
        try:
            yield place
        finally:
            self._expected_bytes -= expected_bytes
            place.unlink(missing_ok=True)

    @property
    def room_bytes(self) -> int:
        """How much may be added now."""
        kept = sum(file.size_bytes for file in self.index.files.values())
        growing = sum(results.size_bytes for results in [*self._growing.values()])
        return self._most_bytes - kept - growing - self._expected_bytes

    def path(self, file_id: str) -> Path:
        """Where the lines of a file are; ``file_id`` is one of ours."""
        return self._folder / "files" / file_id

    @contextmanager
    def results(self, batch: Batch) -> Iterator[Results]:
        """The results of a batch that runs, which count from now on as what is kept."""
        found = Results(self.path(batch.output_id), self.path(batch.errors_id))
        self._growing[batch.id] = found
        try:
            yield found
        finally:
            del self._growing[batch.id]

    def counts(self, batch: Batch) -> tuple[int, int]:
        """How many lines are answered, and could not be, so far."""
        running = self._growing.get(batch.id)
        if running is None:
            return batch.completed, batch.failed
        return running.completed, running.failed

    async def add_result(self, results: Results, line: bytes, *, ok: bool) -> None:
        """Keep an answer. Raises `OSError` where the disk, or this server's bound, is full."""
        await self.do(self._add, results, line, ok=ok)

    # --- in the thread ---

    def _add(self, results: Results, line: bytes, *, ok: bool) -> None:
        # Looked at here, after all that was added before: lines come many at a time.
        if self.room_bytes < len(line):
            raise OSError(errno.ENOSPC, "BATCH_STORAGE_MB is used up")
        results.add(line, ok=ok)

    def _open(self) -> Index:
        for folder in (self._folder, self._folder / "files", self._folder / "uploads"):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._writer.open()
        index = self._writer.content or Index()
        if self._writer.moved_aside is not None:
            logger.error("state_damaged", extra={"moved_to": str(self._writer.moved_aside)})
        else:
            self._sweep(index)
        return index

    def _sweep(self, index: Index) -> None:
        """Remove what a process that was killed has left and the index does not know."""
        known = set(index.files)
        for batch in index.unfinished:
            known |= {batch.output_id, batch.errors_id}
        for path in (self._folder / "files").iterdir():
            if path.name not in known:
                path.unlink()
        for path in (self._folder / "uploads").iterdir():
            path.unlink()

    # --- inside ---

    async def _change(self, act: Callable[[Index], Index]) -> Index:
        async with self._changing:
            changed = act(self.index)
            if changed is not self.index:
                await self.do(self._writer.write, changed)
                self.index = changed
            return changed


def _settle(upload: Path, place: Path) -> None:
    """Have all of an upload on the disk, then move it to where it stays."""
    durable.flush(upload)
    upload.replace(place)
    durable.flush(place.parent)
