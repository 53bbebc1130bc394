"""Which models were in memory when the server last stopped."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ipc.runtime.document import InUse, NewerSchema, Schema, Writer

logger = logging.getLogger(__name__)

SCHEMA = Schema("residents.json", tuple[str, ...])


class Residents:
    """Owns residents.json in the state folder, from when it is made to `close`. Without a folder,
    or where another server has it, nothing is known and nothing kept."""

    def __init__(self, folder: Path | None) -> None:
        self.before: list[str] = []
        self._writer: Writer[tuple[str, ...]] | None = None
        if folder is None:
            return
        writer = Writer(folder, SCHEMA)
        try:
            writer.open()
        except (InUse, NewerSchema, OSError) as error:
            logger.warning("state_not_kept", extra={"why": str(error)})
            return
        self._writer = writer
        self.before = list(writer.content or ())

    def keep(self, models: Sequence[str]) -> None:
        """These are in memory as the server stops."""
        if self._writer is None or list(models) == self.before:
            return
        try:
            self._writer.write(tuple(models))
        except OSError as error:
            logger.warning("state_not_kept", extra={"why": str(error)})

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
