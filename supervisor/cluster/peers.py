"""Model files from the other boxes of a cluster: by a process of its own, since only that imports
Ray, which has them come encrypted from who has the cluster's token."""

from __future__ import annotations

import contextlib
import logging
import selectors
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from ipc import cluster
from ipc.cluster import Fetching, Sought
from supervisor.cluster import node
from supervisor.config.settings import child_env

logger = logging.getLogger(__name__)

# Until the other boxes have been asked, and then between two pieces of a file.
SILENT_S = 60.0
_FOLDER = ".peer"
_FETCH = (sys.executable, "-P", "-m", "worker.cluster.fetch")

Report = Callable[[str, int, int], None]


class Peers:
    """The other boxes of the cluster that this one belongs to, by what is in ``folder``."""

    def __init__(self, folder: Path, command: Sequence[str] = _FETCH) -> None:
        self._folder = folder
        self._command = command

    def __call__(self, sought: Sought, into: Path, report: Report) -> dict[str, str]:
        """Have the files come into the folder ``into``; returns their SHA-256, none where that
        cannot be. Then there is nothing of them."""
        if cluster.read(self._folder) is None or node.running(self._folder) is None:
            return {}
        report("asking the other boxes", 0, 0)
        parts = into / _FOLDER
        parts.mkdir()
        try:
            found = self._fetched(sought, parts, report)
            for name in found:
                target = into / name
                target.parent.mkdir(parents=True, exist_ok=True)
                (parts / name).replace(target)
            return found
        finally:
            shutil.rmtree(parts, ignore_errors=True)

    def _fetched(self, sought: Sought, into: Path, report: Report) -> dict[str, str]:
        process = subprocess.Popen(
            [*self._command, str(self._folder), str(into)],
            env=child_env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with process.stdin as stdin:
                stdin.write(msgspec.json.encode(sought))
            for line in _lines(process.stdout):
                said = msgspec.json.decode(line, type=Fetching)
                if said.files is not None:
                    return said.files
                report(f"from {said.peer}", said.done, said.size)
        except (OSError, msgspec.DecodeError) as error:
            logger.warning("no_peer", extra={"why": str(error)})
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.stdout.close()
            process.wait()
        return {}


def _lines(out: IO[bytes]) -> Iterator[bytes]:
    """What is said there, line by line, until its end or a long silence."""
    with selectors.DefaultSelector() as selector:
        selector.register(out, selectors.EVENT_READ)
        rest = b""
        while selector.select(SILENT_S):
            piece = out.read1(1 << 16)  # type: ignore[attr-defined]
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
