"""This process's way into the box's cluster."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ipc import cluster
from ipc.cluster import Member

_NAMESPACE = "serve"


class NoCluster(Exception):
    """This box belongs to none, or its node is not there now."""


def member_of(folder: Path) -> Member:
    """Raises `NoCluster`."""
    member = cluster.read(folder)
    if member is None:
        raise NoCluster("this box belongs to no cluster; run: edge-serve cluster init, or join")
    return member


def connect(folder: Path, member: Member) -> None:
    """Let this process in, once. Raises `NoCluster` where that is not possible now."""
    os.environ.update(cluster.environment(folder, member))
    import ray

    try:
        ray.init(
            address=f"{member.head}:{member.port}",
            namespace=_NAMESPACE,
            _node_ip_address=member.address,
            configure_logging=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except Exception as error:  # of many kinds, as many as there are parts that may be away
        ray.shutdown()
        raise NoCluster(f"this box's node of the cluster is not there ({error})") from error
