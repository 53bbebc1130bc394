"""This box's node: a process that outlives the command that has started it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from ipc import cluster
from ipc.cluster import Node
from ipc.runtime import durable
from supervisor.config.settings import child_env

_MODULE = "worker.cluster.node"
START_S = 400.0
STOP_S = 60.0
_POLL_S = 0.2
_TOLD_LINES = 3


class NodeError(Exception):
    """It does not come up, or does not end."""


def running(folder: Path) -> Node | None:
    """The node that is up on this box; None: it is not."""
    return durable.read_json(folder / cluster.NODE, Node) if _has_owner(folder) else None


def spawn(folder: Path) -> subprocess.Popen[bytes]:
    """Start it, or find that it runs: then what is started ends at once."""
    with (folder / cluster.LOG).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, str(folder)],
            env=child_env(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def start(folder: Path) -> Node:
    """Have it up. Raises `NodeError` with its last words."""
    if (node := running(folder)) is not None:
        return node
    begun_at = (folder / cluster.LOG).stat().st_size if (folder / cluster.LOG).exists() else 0
    process = spawn(folder)
    give_up_at = time.monotonic() + START_S
    while (node := running(folder)) is None:
        # One that has ended at once may have found another one, which is on its way.
        has_ended = process.poll() is not None and not _has_owner(folder)
        if has_ended or time.monotonic() > give_up_at:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            raise NodeError(f"Ray has not come up here: {_last_words(folder, begun_at)}")
        time.sleep(_POLL_S)
    return node


def stop(folder: Path) -> None:
    """End it and all of Ray's processes here, also one that has yet to come up. Raises
    `NodeError`."""
    told: set[int] = set()
    give_up_at = time.monotonic() + STOP_S
    while pids := _pids(folder):
        if time.monotonic() > give_up_at:
            raise NodeError(f"Ray's processes have not ended in {STOP_S:.0f} s (see {min(pids)})")
        for pid in pids - told:  # once: a second time would have it leave off amid its end
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).terminate()
        told |= pids
        time.sleep(_POLL_S)


def _pids(folder: Path) -> set[int]:
    """Of the processes that are this box's node, or try to become it."""
    own = [_MODULE, str(folder)]
    found = psutil.process_iter(["cmdline"])
    return {one.pid for one in found if (one.info["cmdline"] or [])[-len(own) :] == own}


def _has_owner(folder: Path) -> bool:
    """Whether its process is there: the lock decides, since a pid may be another one's by now."""
    try:
        lock = os.open(folder / cluster.LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _last_words(folder: Path, begun_at: int) -> str:
    with (folder / cluster.LOG).open("rb") as log:
        log.seek(begun_at)
        lines = log.read().decode(errors="replace").strip().splitlines()
    return " / ".join(lines[-_TOLD_LINES:]) or f"it has said nothing in {START_S:.0f} s"
