"""``python -m worker.cluster.ask FOLDER status | drain ADDRESS | remove MODEL``: the cluster asked,
in a process of its own; the answer is JSON on stdout, an error one line on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ipc.cluster import BoxState, ClusterState, ModelReplicas
from worker.cluster.connection import NoCluster, connect, member_of
from worker.cluster.meeting import forget
from worker.cluster.placement import app_of

# How long the replicas of a box that is drained may take until all of them are elsewhere.
DRAIN_S = 120.0
_POLL_S = 0.5


class StillThere(Exception):
    """A box that was drained has not become empty in its time."""


def main() -> None:
    folder, act, *words = sys.argv[1:]
    try:
        member = member_of(Path(folder))
        connect(Path(folder), member)
        answer = _ACTS[act](*words)
    except (NoCluster, StillThere) as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.flush()
    os._exit(0)  # Ray takes a second to say goodbye, and nobody waits for it


def status() -> ClusterState:
    """Which boxes there are, and which has how many replicas of which model."""
    import ray

    leaving = set(ray._private.state.state.get_draining_nodes())
    boxes = [_box(node, draining=node["NodeID"] in leaving) for node in ray.nodes()]
    # One that has come back is there twice: as it was, and as it is.
    newest = {box.address: box for box in sorted(boxes, key=lambda one: one.state != "gone")}
    alive = {box.address: box for box in boxes if box.state != "gone"}
    return ClusterState(boxes=list({**newest, **alive}.values()), models=_models())


def drain(address: str) -> ClusterState:
    """Have a box take nothing new and its replicas start elsewhere; its node then ends. Raises
    `NoCluster` where there is no such box, and what `_await_empty` does."""
    import ray
    from ray._raylet import GcsClient
    from ray.core.generated import autoscaler_pb2

    ids = [one["NodeID"] for one in ray.nodes() if one["Alive"] and _address(one) == address]
    if not ids:
        raise NoCluster(f"no box at {address} is there; see: edge-serve cluster status")
    client = GcsClient(address=ray.get_runtime_context().gcs_address)
    taken, why = client.drain_node(
        ids[0],
        autoscaler_pb2.DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION,
        "drained by an operator",
        int((time.time() + DRAIN_S) * 1000),
    )
    if not taken:
        raise NoCluster(f"{address} cannot be drained: {why}")
    _await_empty(address)
    return status()


def remove(model: str) -> ClusterState:
    """End all replicas of a model."""
    from ray import serve

    serve.delete(app_of(model), _blocking=True)
    forget(model)
    return status()


_ACTS: dict[str, Callable[..., ClusterState]] = {
    "status": status,
    "drain": drain,
    "remove": remove,
}


def _address(node: dict[str, Any]) -> str:
    return str(node["NodeManagerAddress"])


def _box(node: dict[str, Any], *, draining: bool) -> BoxState:
    resources = node.get("Resources", {})
    return BoxState(
        address=_address(node),
        state="gone" if not node["Alive"] else "draining" if draining else "up",
        memory_mb=int(resources.get("memory", 0)) >> 20,
        gpus=int(resources.get("GPU", 0)),
    )


def _models() -> list[ModelReplicas]:
    """Those that are deployed, with the addresses of their replicas."""
    from ray import serve
    from ray.serve.context import _get_global_client

    if not serve.status().applications:
        return []
    details = _get_global_client().get_serve_details()
    return [
        _model(model, deployment, app)
        for app in details["applications"].values()
        for model, deployment in app["deployments"].items()
    ]


def _model(model: str, deployment: dict[str, Any], app: dict[str, Any]) -> ModelReplicas:
    replicas = deployment.get("replicas", [])
    return ModelReplicas(
        model=model,
        state=_word(app["status"]),
        why=str(app.get("message") or ""),
        on=sorted(
            str(one.get("node_ip")) for one in replicas if _word(one.get("state")) == "running"
        ),
    )


def _word(status: Any) -> str:
    """Ray's word for how something stands, which may be a member of an enumeration."""
    return str(getattr(status, "value", status)).lower()


def _await_empty(address: str) -> None:
    """Raises `StillThere`."""
    give_up_at = time.monotonic() + DRAIN_S
    while _has_replicas(address):
        if time.monotonic() > give_up_at:
            raise StillThere(
                f"{address} has replicas still, which have no place elsewhere; they end with its "
                "node now, and streams that they have go on where others are"
            )
        time.sleep(_POLL_S)


def _has_replicas(address: str) -> bool:
    return any(address in one.on for one in _models())


if __name__ == "__main__":
    main()
