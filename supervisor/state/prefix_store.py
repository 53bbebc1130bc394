"""Has what workers tell of prefixes for those that come after them; on a disk only if asked to.

It is written in a thread of its own, at most each `WRITE_S`: a slow or full disk keeps nobody
waiting, and a busy model wears none out.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from ipc.messages.control import KeepPrefixes
from ipc.messages.spec import Spec
from ipc.runtime.document import InUse, NewerSchema, Writer
from supervisor.state import background
from supervisor.state.prefixes import SCHEMA, Kept, find, told

logger = logging.getLogger(__name__)

WRITE_S = 5.0
END_S = 2.0  # how long the last of it may take to be written


class PrefixStore:
    """Owns prefixes.json in the state folder from `begin` to `end`, where they are kept on the
    disk. Else it removes the one that is there: whoever has changed the setting wants it gone."""

    def __init__(self, folder: Path | None, keep: KeepPrefixes) -> None:
        self._keep = keep
        self._writer = Writer(folder, SCHEMA) if folder else None
        self._known: Kept = ()
        self._changed = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="prefixes", daemon=True)

    def begin(self) -> None:
        """Read the file, or remove it."""
        if self._writer is None or not (self._keep == "disk" or self._writer.exists()):
            return
        try:
            self._writer.open()
            self._take(self._writer)
        except (InUse, NewerSchema, OSError) as error:
            logger.warning("prefixes_not_kept", extra={"why": str(error)})

    def _take(self, writer: Writer[Kept]) -> None:
        if aside := writer.moved_aside:
            logger.warning("state_damaged", extra={"removed": str(aside)})
            aside.unlink()  # it holds what prompts hold, and is of no use to anybody
        if self._keep != "disk":
            writer.remove()
            writer.close()
            return
        self._known = writer.content or ()
        background.start(self._thread)

    def tell(self, spec: Spec, data: bytes) -> None:
        """A worker of ``spec`` has told this; with nothing, what is known of it is forgotten."""
        if self._keep != "off":
            self._known = told(self._known, spec, data)
            self._changed.set()

    def get(self, spec: Spec) -> bytes | None:
        """What the next worker of ``spec`` is to know; None where it is to remember nothing."""
        return None if self._keep == "off" else find(self._known, spec)

    def end(self) -> None:
        """Write what is known, unless that takes too long."""
        self._ending.set()
        self._changed.set()
        if self._thread.ident is not None:
            self._thread.join(END_S)

    def _work(self) -> None:
        assert self._writer is not None
        warned = ending = False
        while not ending:
            self._changed.wait()
            self._changed.clear()
            ending = self._ending.is_set()
            try:
                self._write(self._writer)
            except OSError as error:  # a disk that is full now may have room later
                if not warned:
                    logger.warning("prefixes_not_kept", extra={"why": str(error)})
                warned = True
            self._ending.wait(WRITE_S)
        self._writer.close()

    def _write(self, writer: Writer[Kept]) -> None:
        known = self._known
        if known != (writer.content or ()):
            writer.write(known)
