"""The cluster asked: by a process of its own, since only that imports Ray."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from ipc.cluster import ClusterState
from supervisor.cli import output

# Ray gives up on a first box that does not answer after 20 s; a drain takes two minutes at most.
_TIMEOUT_S = 200.0


def ask(folder: Path, act: str, *words: str) -> ClusterState:
    """What it says, after it has done what it was told. Ends the command where it cannot."""
    from supervisor.config.settings import child_env

    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "worker.cluster.ask", str(folder), act, *words],
            env=child_env(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=ClusterState)
    except subprocess.TimeoutExpired:
        output.fail(f"cluster: no answer in {_TIMEOUT_S:.0f} s")
    except (IndexError, msgspec.DecodeError):
        _fail(done.stderr)


def _fail(stderr: bytes) -> NoReturn:
    lines = stderr.decode(errors="replace").strip().splitlines()
    output.fail(f"cluster: {lines[-1] if lines else 'no answer, and no word why'}")
