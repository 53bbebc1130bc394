"""What a box knows of the cluster that it belongs to, and what Ray has to be told to be let in.

All of it is in one folder, readable by its owner alone. Ray without a token or without TLS runs
anybody's code, so there is one way to its settings, and that has both.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Literal

import msgspec

from ipc.runtime import durable

MEMBER = "member.json"
TOKEN = "token"
AUTHORITY = "ca.pem"
CERTIFICATE, KEY = "box.pem", "box.key"
BUNDLE = "join.txt"  # what another box joins by; the first one has it
STORE = "store"  # what the first box's control service keeps
LOCK = "node.lock"
NODE = "node.json"
LOG = "node.log"

PORT = 6380
# How often a box is asked whether it is there, how long it has for an answer, and how many it may
# owe. Ray's own values find a box that is gone after half a minute.
_CHECK_MS, _CHECKS_OWED = 1000, 4
# How long Ray believes what a replica has said of its queue: not at all, so it asks two before each
# call, and one that stands still is given nothing. Its own value is 10 s, and each call to a
# replica makes that last longer.
_QUEUE_TOLD_S = 0
# Others go on without the first box for so long: longer than anybody leaves it down.
_ALONE_S = 7 * 86400


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """This box at ``address`` belongs to the cluster whose first box is at ``head`` and ``port``.
    Models of the cluster may take ``memory_mb`` of it; their files are in ``models_dir``."""

    address: str
    head: str
    port: int
    memory_mb: int
    models_dir: str

    @property
    def is_head(self) -> bool:
        """Whether it is the first box."""
        return self.address == self.head

    @property
    def temp_dir(self) -> Path:
        """Where Ray has its sockets and logs: a path of its sockets may have 107 bytes."""
        return Path(tempfile.gettempdir()) / f"edge-serve-{os.getuid()}-ray-{self.address}"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """Ray's processes on this box are up, by the process ``pid``, as the node ``id``."""

    pid: int
    id: str


class BoxState(msgspec.Struct, frozen=True, kw_only=True):
    """A box of the cluster as the first one sees it; ``memory_mb`` is what models may take."""

    address: str
    state: Literal["up", "draining", "gone"]
    memory_mb: int
    gpus: int = 0


class ModelReplicas(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is deployed; ``on`` has the address of the box of each replica that runs."""

    model: str
    state: str
    why: str
    on: list[str]


class ClusterState(msgspec.Struct, frozen=True, kw_only=True):
    """What there is, as any box is told."""

    boxes: list[BoxState]
    models: list[ModelReplicas]


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a model that a box wants: as they are in another one's folder of that name, if
    they come from the same source and variant there. ``digests`` are the SHA-256 of those of which
    it is known what they must be."""

    folder: str
    source: str
    variant: str = ""
    digests: dict[str, str] = {}


class Fetching(msgspec.Struct, frozen=True, kw_only=True):
    """How far files are on their way from another box: ``done`` bytes of ``size``. At last
    ``files`` has the SHA-256 of each that has come whole; none where no box has them."""

    done: int = 0
    size: int = 0
    peer: str = ""
    files: dict[str, str] | None = None


def folder_of(state_dir: Path) -> Path:
    """Where the box has what it knows of its cluster."""
    return state_dir / "cluster"


def read(folder: Path) -> Member | None:
    """Which cluster it belongs to; None: none."""
    return durable.read_json(folder / MEMBER, Member)


def environment(folder: Path, member: Member) -> dict[str, str]:
    """What must be set before Ray is imported, in each process that has to do with the cluster."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / TOKEN),
        "RAY_USE_TLS": "1",
        "RAY_TLS_CA_CERT": str(folder / AUTHORITY),
        "RAY_TLS_SERVER_CERT": str(folder / CERTIFICATE),
        "RAY_TLS_SERVER_KEY": str(folder / KEY),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DISABLE_DOCKER_CPU_WARNING": "1",
        "RAY_health_check_initial_delay_ms": str(2 * _CHECK_MS),
        "RAY_health_check_period_ms": str(_CHECK_MS),
        "RAY_health_check_timeout_ms": str(_CHECK_MS),
        "RAY_health_check_failure_threshold": str(_CHECKS_OWED),
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(_ALONE_S),
        "RAY_SERVE_QUEUE_LENGTH_CACHE_TIMEOUT_S": str(_QUEUE_TOLD_S),
        "EDGE_SERVE_CLUSTER_MODELS": member.models_dir,
    }


def store_environment(folder: Path) -> dict[str, str]:
    """Beside that, for the first box's node alone: its control service keeps what it knows."""
    return {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(folder / STORE)}
