"""``python -m worker.cluster.node FOLDER``: Ray's processes on this box, started, watched, ended.

This process is their parent, and they end with it. Ray leaves a control service that has died dead
(`ray start --block` even ends the whole node): here it comes back with what it knew, and others
have gone on meanwhile. A node whose raylet has died begins anew, since all its workers die with it.
Ray's own `Node` is private to it, hence the exact version in requirements-ray.txt.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import msgspec
import psutil

from ipc import cluster
from ipc.cluster import Member, Node
from ipc.runtime import durable, log

logger = logging.getLogger(__name__)

POLL_S = 0.2
# Before a node or a part of it that could not be started, or has died, is tried again.
PAUSE_S = 1.0
END_S = 10.0
# For how long the raylet is waited for. Ray's own 30 s are too few where others take the processors
# as a box starts, and all of its processes would begin anew.
START_S = 150.0
# Ray passes arguments and results by it; ours go by the call itself, but for large ones.
OBJECT_STORE_BYTES = 128 << 20

Act = Literal["control service again", "node again", "leave", "nothing"]


def act_on(process: str, status: int) -> Act:
    """What to do when one of the node's processes has ended, by Ray's name for it. The raylet of a
    node that has been drained ends by itself, with 0."""
    if process == "gcs_server":
        return "control service again"
    if process == "raylet":
        return "leave" if status == 0 else "node again"
    return "nothing"  # statistics and the like, of which nothing here depends


def main() -> None:
    folder = Path(sys.argv[1])
    log.set_up("node", "info", "text")
    member = cluster.read(folder)
    if member is None:
        sys.exit(f"{folder}: no cluster to belong to")
    lock = os.open(folder / cluster.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("this box's node runs already")
    os.environ.update(cluster.environment(folder, member))
    if member.is_head:
        os.environ.update(cluster.store_environment(folder))
    signal.signal(signal.SIGTERM, _on_term)
    _run(folder, member)


def _on_term(*_: object) -> None:
    raise SystemExit(0)


def _run(folder: Path, member: Member) -> None:
    """Until the node has left."""
    (folder / cluster.NODE).unlink(missing_ok=True)
    node = None
    act: Act = "node again"
    try:
        node = _started(member)
        told = Node(pid=os.getpid(), id=node.node_id)
        durable.write_file(folder / cluster.NODE, msgspec.json.encode(told), mode=0o600)
        logger.info("node_up", extra={"address": member.address})
        act = _watch(node)
    except Exception:  # the first box is not there, say
        logger.exception("node_failed")
    finally:
        if node is not None:
            _end(node)
        _end_family()
        (folder / cluster.NODE).unlink(missing_ok=True)
    if act == "node again":
        time.sleep(PAUSE_S)
        # Ray keeps too much of a node in the process that had it to start another one there.
        os.execv(sys.executable, [sys.executable, "-P", "-m", "worker.cluster.node", str(folder)])


def _end(node: Any) -> None:
    """The raylet first, with time to end its own: agents that it leaves behind take a minute to
    find that out."""
    for info in node.all_processes.get("raylet", []):
        info.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            info.process.wait(END_S)
    node.kill_all_processes(check_alive=False, allow_graceful=True)


def _end_family() -> None:
    """Whatever else has been begun here, as by a start that has failed amid it: it would live on
    through the next one, with its port and the store."""
    family = psutil.Process().children(recursive=True)
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(family, END_S)


def _started(member: Member) -> Any:
    from ray._private.node import Node as RayNode
    from ray._private.parameter import RayParams

    member.temp_dir.mkdir(mode=0o700, exist_ok=True)
    if member.temp_dir.lstat().st_uid != os.getuid():
        raise PermissionError(f"{member.temp_dir} is another user's")
    _wait_longer()
    where = {"gcs_server_port" if member.is_head else "gcs_address": _control(member)}
    params = RayParams(
        node_ip_address=member.address,
        num_cpus=os.cpu_count(),
        memory=member.memory_mb << 20,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        include_log_monitor=False,
        temp_dir=str(member.temp_dir),
        **where,
    )
    return RayNode(params, head=member.is_head, shutdown_at_exit=False, spawn_reaper=True)


def _wait_longer() -> None:
    """Ray asks whether the raylet is there until it is, or its time has passed: one answer may now
    take as long as all of them should."""
    from ray._private import services

    once = services.get_node

    def get_node(*words: Any) -> Any:
        give_up_at = time.monotonic() + START_S
        while True:
            try:
                return once(*words)
            except RuntimeError:
                if time.monotonic() > give_up_at:
                    raise
            time.sleep(POLL_S)

    services.get_node = get_node


def _control(member: Member) -> int | str:
    return member.port if member.is_head else f"{member.head}:{member.port}"


def _watch(node: Any) -> Act:
    """Returns what ends the node."""
    while True:
        for process, popen in node.dead_processes():
            act = act_on(process, popen.returncode)
            logger.warning("part_ended", extra={"part": process, "then": act})
            if act in ("node again", "leave"):
                return act
            del node.all_processes[process]
            if act == "control service again":
                time.sleep(PAUSE_S)
                node._gcs_address = node._gcs_client = None
                node.start_gcs_server()
        time.sleep(POLL_S)


if __name__ == "__main__":
    main()
