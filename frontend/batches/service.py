"""Files and batches of this server: what may be done with them, and what runs."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.types import ASGIApp

from frontend.batches.calls import call
from frontend.batches.endpoints import TASK_OF
from frontend.batches.records import MOST_FILES, NOBODY, WINDOW_S, Batch, File, Index
from frontend.batches.retry import Outcome
from frontend.batches.run import Means, Run
from frontend.batches.store import Store
from frontend.dispatch.dispatcher import Dispatcher
from ipc.messages.control import BatchConfig
from ipc.messages.errors import InvalidRequest, NotFound, QueueFull, Unavailable
from ipc.runtime.document import NewerSchema

logger = logging.getLogger(__name__)

# That run at once; others wait behind them. One whose model is not there for hours is not in the
# way of all others.
RUNNING = 4
# A disk that took nothing may take something later.
RETRY_S = 30.0


class Batches:
    """Everything is asked of this; faces only render.

    Nobody may see what another API key has made: it is not found. What was made with a key that is
    removed is ended and deleted, so that a later key of its name finds nothing of it. `begin` gives
    it the application that lines are asked of; before, and where there is no state folder, it is
    `Unavailable`.
    """

    def __init__(
        self,
        config: BatchConfig,
        dispatcher: Dispatcher,
        max_line_bytes: int,
        now: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        self.config = config
        self._dispatcher = dispatcher
        self._max_line_bytes = max_line_bytes
        self._now = now
        self._why_not = "files and batches need a state folder; set EDGE_SERVE_STATE_DIR"
        self._store: Store | None = None
        self._means: Means | None = None
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys: frozenset[str] = frozenset()

    # --- its life ---

    def begin(self, app: ASGIApp) -> None:
        """Take the state folder as soon as nobody else has it, and go on with what is there."""
        if self.config.folder:
            self._why_not = "files and batches are not there yet"
            self._keep(asyncio.create_task(self._open(app)))

    def know(self, keys: Collection[str]) -> None:
        """There are these keys from now on; without any, nobody's are told from others."""
        self._keys = frozenset(keys)
        if self._keys and self._store is not None:
            self._keep(asyncio.create_task(self._forget(self._store, self._keys)))

    async def _forget(self, store: Store, keys: frozenset[str]) -> None:
        """End and delete what belongs to none of ``keys``."""
        try:
            index = await store.change(lambda old: old.owned_by(keys))
            for batch in index.unfinished:
                if batch.key == NOBODY:
                    logger.info("batch_without_key", extra={"batch": batch.id})
                    await self._call_off(store, batch.id)
        except OSError as error:
            logger.warning("files_without_key_stay", extra={"why": str(error)})
        await self._sweep(store)

    async def _sweep(self, store: Store) -> None:
        """Delete what is nobody's; what the disk does not let go of, the next start does."""
        before = store.index.files
        try:
            after = await store.change(Index.without_nobodys)
            for file_id in before.keys() - after.files.keys():
                if before[file_id].key == NOBODY:
                    await store.remove(file_id)
        except OSError as error:
            logger.warning("files_without_key_stay", extra={"why": str(error)})

    async def close(self) -> None:
        """Stop, and leave the folder to the next process. What runs is gone on with then."""
        self._why_not = "the server is stopping"
        store, self._store = self._store, None
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if store is not None:
            await store.close()

    async def _open(self, app: ASGIApp) -> None:
        store = Store(Path(self.config.folder), self.config.storage_bytes)
        try:
            await store.open()
        except (NewerSchema, OSError) as error:
            self._why_not = f"files and batches cannot be kept: {error}"
            logger.error("batches_not_kept", extra={"why": str(error)})
            return

        def check_model(endpoint: str, name: str) -> None:
            self._dispatcher.spec(name, TASK_OF[endpoint])

        async def ask(path: str, body: bytes, key: str | None) -> Outcome:
            return await call(app, path, body, key)

        self._means = Means(
            store=store,
            ask=ask,
            check_model=check_model,
            now=self._now,
            turns=asyncio.Semaphore(RUNNING),
            checks=asyncio.Semaphore(1),
            lines_at_once=self.config.lines_at_once,
            max_lines=self.config.max_lines,
            max_line_bytes=self._max_line_bytes,
        )
        if self._keys:
            await self._forget(store, self._keys)
        self._store = store
        for batch in store.index.unfinished:
            # The clock may have been set while nothing ran; from here on it is not looked at.
            self._start(batch, min(max(0, batch.expires_at - self._now()), WINDOW_S))

    def _start(self, batch: Batch, window_s: float) -> None:
        assert self._means is not None
        self._keep(asyncio.create_task(self._take_to_its_end(batch, self._means, window_s)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_to_its_end(self, batch: Batch, means: Means, window_s: float) -> None:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + window_s
        while batch.id in means.store.index.batches:
            run = self._runs[batch.id] = Run(batch, means, ends_at - loop.time())
            try:
                await run()
                await self._sweep(means.store)
                return
            except* OSError as error:
                why = str(error.exceptions[0])
                logger.warning("batch_waits", extra={"batch": batch.id, "why": why})
            except* Exception:
                logger.exception("batch_broke", extra={"batch": batch.id})
            finally:
                self._runs.pop(batch.id, None)
            await asyncio.sleep(RETRY_S)

    @property
    def _open_store(self) -> Store:
        if self._store is None:
            raise Unavailable(self._why_not, retry_after_s=1.0 if self.config.folder else None)
        return self._store

    # --- files ---

    @contextmanager
    def upload(self, expected_bytes: int) -> Iterator[Path]:
        """Where a file may be written that is `add`ed then. Raises `PayloadTooLarge`, and
        `Unavailable` where the disk does not take it."""
        with _written(), self._open_store.upload(expected_bytes) as place:
            yield place

    async def add(self, place: Path, name: str, size_bytes: int, key: str | None) -> File:
        """Keep a file of requests that was written to ``place``."""
        store = self._open_store
        if len(store.index.files) >= MOST_FILES:
            raise InvalidRequest(f"this server keeps {MOST_FILES} files; delete some")
        file = File(
            id=_file_id(),
            name=name,
            purpose="batch",
            size_bytes=size_bytes,
            created_at=self._now(),
            key=key,
        )
        await store.add_file(file, place)
        return file

    def files(self, key: str | None) -> list[File]:
        """Oldest first."""
        return [file for file in self._open_store.index.files.values() if file.key == key]

    def file(self, file_id: str, key: str | None) -> File:
        """Raises `NotFound`."""
        found = self._open_store.index.files.get(file_id)
        if found is None or found.key != key:
            raise NotFound("there is no such file", param="file_id")
        return found

    def path(self, file: File) -> Path:
        return self._open_store.path(file.id)

    async def delete(self, file_id: str, key: str | None) -> None:
        """Raises `NotFound`, `InvalidRequest` where a batch still reads it, and `Unavailable` where
        the disk does not take the change."""
        store = self._open_store
        self.file(file_id, key)

        def without(old: Index) -> Index:
            if (batch := old.reads(file_id)) is not None:
                raise InvalidRequest(
                    f"batch {batch.id} still reads this file; cancel it first", param="file_id"
                )
            return old.without_file(file_id)

        with _written():
            await store.change(without)
            await store.remove(file_id)

    # --- batches ---

    async def create(
        self, input_id: str, endpoint: str, metadata: dict[str, str] | None, key: str | None
    ) -> Batch:
        """Raises `NotFound`, `InvalidRequest`, `QueueFull`, and `Unavailable` where the disk does
        not take it."""
        store = self._open_store
        batch = Batch(
            id=f"batch_{secrets.token_hex(12)}",
            endpoint=endpoint,
            input_id=input_id,
            output_id=_file_id(),
            errors_id=_file_id(),
            created_at=self._now(),
            key=key,
            metadata=metadata,
        )

        def with_it(old: Index) -> Index:
            file = old.files.get(input_id)
            if file is None or file.key != key:
                raise NotFound("there is no such file", param="input_file_id")
            if file.purpose != "batch":
                raise InvalidRequest("results are no requests", param="input_file_id")
            if len(old.unfinished) >= self.config.max_batches:
                raise QueueFull(
                    f"{len(old.unfinished)} batches have not ended yet, as many as may, this "
                    "server's MAX_BATCHES; wait for one, or cancel one"
                )
            return old.with_batch(batch)

        with _written():
            await store.change(with_it)
        self._start(batch, WINDOW_S)
        return batch

    def batches(self, key: str | None) -> list[Batch]:
        """Oldest first."""
        index = self._open_store.index
        return [self._counted(batch) for batch in index.batches.values() if batch.key == key]

    def batch(self, batch_id: str, key: str | None) -> Batch:
        """Raises `NotFound`."""
        found = self._open_store.index.batches.get(batch_id)
        if found is None or found.key != key:
            raise NotFound("there is no such batch", param="batch_id")
        return self._counted(found)

    async def cancel(self, batch_id: str, key: str | None) -> Batch:
        """Raises `NotFound`, `InvalidRequest` where there is nothing to call off, and `Unavailable`
        where the disk does not take it."""
        before = self.batch(batch_id, key)
        with _written():
            batch = await self._call_off(self._open_store, batch_id)
        if batch.status != "cancelling":
            raise InvalidRequest(f"a batch that is {before.status} cannot be cancelled")
        return self._counted(batch)

    async def _call_off(self, store: Store, batch_id: str) -> Batch:
        batch = await store.change_batch(batch_id, lambda old: old.called_off(self._now()))
        if batch.status == "cancelling" and (run := self._runs.get(batch_id)) is not None:
            run.call_off()
        return batch

    def _counted(self, batch: Batch) -> Batch:
        completed, failed = self._open_store.counts(batch)
        return batch.counted(completed, failed)


@contextmanager
def _written() -> Iterator[None]:
    """For what writes to the disk because somebody asks. Raises `Unavailable` where it cannot."""
    try:
        yield
    except OSError as error:
        logger.warning("batches_not_written", extra={"why": str(error)})
        why = error.strerror or str(error)
        raise Unavailable(f"files and batches cannot be written: {why}") from error


def _file_id() -> str:
    return f"file-{secrets.token_hex(12)}"
