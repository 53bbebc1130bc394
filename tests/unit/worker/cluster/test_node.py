"""The parent of Ray's processes on a box: what becomes of them when it tries again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# In a process of its own, since it ends all that it has begun.
FAILS = """
import subprocess, sys
from pathlib import Path
from ipc.cluster import Member
from worker.cluster import node

begun = []

def fails(member):
    quiet = subprocess.DEVNULL
    begun.append(subprocess.Popen(["sleep", "60"], stdout=quiet, stderr=quiet))
    raise RuntimeError("the current node timed out during startup")

def again(program, argv):
    print("alive" if begun[0].poll() is None else "ended", argv[-1])

node._started, node.PAUSE_S, node.os.execv = fails, 0.0, again
member = Member(address="127.0.0.2", head="127.0.0.2", port=1, memory_mb=1, models_dir="")
node._run(Path(sys.argv[1]), member)
"""


def test_what_a_failed_start_has_begun_is_ended_before_the_next_one(tmp_path: Path) -> None:
    """A control service that it left would keep the port and the store."""
    argv = [sys.executable, "-c", FAILS, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ended", str(tmp_path)]
