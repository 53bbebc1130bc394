"""Keeps a server's pulls in its state folder, by a thread: a slow disk keeps nobody waiting."""

from __future__ import annotations

import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from ipc.runtime.document import Damaged, InUse, NewerSchema, Writer
from supervisor.state.pull_book import SCHEMA, Book

logger = logging.getLogger(__name__)


class PullWriter:
    """Owns pulls.json from its making to `end`. Without a folder, or if its file cannot be had,
    nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._writer = Writer(folder, SCHEMA) if folder else None
        self._pool = ThreadPoolExecutor(1, "pulls", _hold_signals)
        try:
            if self._writer is not None:
                self._writer.open()
        except (InUse, NewerSchema, Damaged, OSError) as error:
            self._fail(error)

    @property
    def kept(self) -> Book:
        """What an earlier server has left."""
        return (self._writer.content if self._writer else None) or Book()

    def keep(self, book: Book) -> None:
        """Have it written soon."""
        copy = msgspec.json.decode(msgspec.json.encode(book), type=Book)
        self._pool.submit(self._write, copy)

    def end(self) -> None:
        self._pool.shutdown()
        if self._writer is not None:
            self._writer.close()

    def _write(self, book: Book) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write(book)
        except OSError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Say it once."""
        logger.warning("pulls_not_kept", extra={"why": str(error)})
        self._writer = None


def _hold_signals() -> None:
    """What stops the server is for the main thread."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
