"""What the control service keeps for the boxes of a cluster, and what Serve's controller does for
the first one. All of it may be away: each act raises what Ray does, or `TimeoutError`."""

from __future__ import annotations

from typing import Any, NamedTuple

from worker.cluster.placement import app_of

ASK_S = 10.0
_NAMESPACE = b"edge-serve"
_RUNS = "RUNNING"


class Standing(NamedTuple):
    """So many replicas should run, and so many do; ``message`` is what Ray says of it."""

    target: int
    running: int
    message: str


class Control:
    """That of the cluster that this process has been let into."""

    def keep(self, key: str, value: bytes) -> None:
        """On a disk, until it is forgotten."""
        _gcs().internal_kv_put(key.encode(), value, True, _NAMESPACE, ASK_S)

    def kept(self, prefix: str) -> dict[str, bytes]:
        """What there is by keys that begin so, by what follows in them."""
        keys = _gcs().internal_kv_keys(prefix.encode(), _NAMESPACE, ASK_S)
        found = _gcs().internal_kv_multi_get(keys, _NAMESPACE, ASK_S) if keys else {}
        return {key.decode().removeprefix(prefix): value for key, value in found.items()}

    def forget(self, prefix: str) -> None:
        for key in self.kept(prefix):
            _gcs().internal_kv_del(f"{prefix}{key}".encode(), False, _NAMESPACE, ASK_S)

    def standing(self, model: str) -> Standing:
        """How the model's replicas stand."""
        details = _said(_controller().get_deployment_details.remote(app_of(model), model))
        running = sum(str(one.state.value) == _RUNS for one in details.replicas)
        return Standing(int(details.target_num_replicas), running, str(details.message))

    def scale(self, model: str, replicas: int) -> None:
        """Have so many; those that work are left alone."""
        from ray.serve._private.common import DeploymentID

        which = DeploymentID(name=model, app_name=app_of(model))
        _said(_controller().update_deployment_replicas.remote(which, replicas))


def _gcs() -> Any:
    import ray

    return ray._private.worker.global_worker.gcs_client


def _controller() -> Any:
    from ray.serve.context import _get_global_client

    return _get_global_client()._controller


def _said(answer: Any) -> Any:
    import ray

    return ray.get(answer, timeout=ASK_S)
