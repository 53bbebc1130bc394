"""Looks at the files of the configuration for changes, in a thread of its own: a network mount that
does not answer keeps nobody waiting.

What counts is what is in them: the times of a mount may be anything, and its events do not come. A
file that is being written is waited for until two looks find the same.
"""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

LOOK_S = 2.0
# Of a file only so much is read: a catalog has kilobytes.
_MOST_BYTES = 16 << 20


class Settled:
    """Tells when content has changed and stays as it is; pure."""

    def __init__(self, content: bytes) -> None:
        self._in_force = content
        self._seen = content

    def look(self, content: bytes) -> bool:
        """Whether this is another content than the last that was told, seen for the second time."""
        stays, self._seen = content == self._seen, content
        if not stays or content == self._in_force:
            return False
        self._in_force = content
        return True


def digest(files: Iterable[str]) -> bytes:
    """Changes with what is in any of the files; one that is not there counts as such."""
    found = hashlib.sha256()
    for name in files:
        try:
            with Path(name).open("rb") as file:
                content = file.read(_MOST_BYTES)
        except OSError:
            content = b"\0"
        found.update(hashlib.sha256(content).digest())
    return found.digest()


class Watch:
    """Calls ``on_change`` in its own thread, from `begin` until `end`. ``files`` tells which to
    look at now."""

    def __init__(self, files: Callable[[], list[str]], on_change: Callable[[], None]) -> None:
        self._files = files
        self._on_change = on_change
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)

    def begin(self) -> None:
        # What stops the server is for the main thread, also while that holds it back.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self._thread.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def end(self) -> None:
        self._enough.set()

    def _work(self) -> None:
        settled = Settled(digest(self._files()))
        while not self._enough.wait(LOOK_S):
            if settled.look(digest(self._files())):
                self._on_change()
