"""A model's application in the cluster: made by the first box, awaited by all."""

from __future__ import annotations

import time

import msgspec

from ipc.messages.spec import Cluster
from worker.cluster import messages
from worker.cluster.placement import app_of, digest_of, options, portable
from worker.engine import LoadError, Stage

POLL_S = 0.5
TOLD_S = 10.0
# In these Ray sends calls to replicas that run, though some may be missing.
_SERVES = ("RUNNING", "UNHEALTHY")
_FAILED = "DEPLOY_FAILED"


def deployed(cluster: Cluster, stage: Stage, *, is_head: bool) -> messages.Told:
    """Have the model's replicas run, and say what they are. Raises `LoadError`.

    The first box owns what is deployed. Another one waits for it, also where replicas of another
    entry or other files run: the first box may be about to replace them. It is refused where they
    still run after its time to load.
    """
    wanted = digest_of(cluster)
    if is_head and not _runs(cluster, wanted):
        _deploy(cluster, wanted)
    give_up_at = time.monotonic() + cluster.served.load_stall_s
    while True:
        _await(cluster, stage, give_up_at)
        told = _told(cluster)
        if told.digest == wanted:
            return told
        if time.monotonic() > give_up_at:
            raise LoadError(
                "the first box of the cluster serves this model otherwise; have the same entry and "
                "the same files on both, and reload the first one"
            )
        stage("waiting: the first box serves it otherwise")
        time.sleep(POLL_S)


def _runs(cluster: Cluster, wanted: str) -> bool:
    """Whether it is deployed as wanted: after a restart of this server, say. Then nothing is
    deployed, since Ray would replace every replica, also those that work."""
    if _state(cluster)[0] not in (*_SERVES, "DEPLOYING"):
        return False
    try:
        return _told(cluster).digest == wanted
    except LoadError:
        return False


def _deploy(cluster: Cluster, digest: str) -> None:
    from ray import serve

    from worker.cluster.replica import Replica

    serve.start(proxy_location="Disabled")  # this box's frontend is the way in
    made = serve.deployment(Replica).options(name=cluster.served.name, **options(cluster))
    app = made.bind(msgspec.json.encode(portable(cluster)), digest)
    target = serve.RunTarget(
        app,
        name=app_of(cluster.served.name),
        route_prefix=None,
        external_scaler_enabled=cluster.served.scales,
    )
    serve.run_many([target], wait_for_applications_running=False)


def _await(cluster: Cluster, stage: Stage, give_up_at: float) -> None:
    """Until its replicas run, or it is known that they do not."""
    while (state := _state(cluster))[0] not in _SERVES:
        if state[0] == _FAILED:
            raise LoadError(f"the cluster could not start it: {state[1]}", permanent=False)
        if time.monotonic() > give_up_at:
            why = state[1] or "the first box has not deployed it"
            raise LoadError(f"no replica of it came in time: {why}", permanent=False)
        stage(f"waiting for its replicas: {state[0].lower() or 'not deployed yet'}")
        time.sleep(POLL_S)


def _state(cluster: Cluster) -> tuple[str, str]:
    """How the application stands, in Ray's word, and why; empty where there is none."""
    from ray import serve

    found = serve.status().applications.get(app_of(cluster.served.name))
    if found is None:
        return "", ""
    why = [one.message for one in found.deployments.values() if one.message] or [found.message]
    return str(found.status.value), " ".join(why).strip()


def _told(cluster: Cluster) -> messages.Told:
    from ray import serve

    handle = serve.get_app_handle(app_of(cluster.served.name))
    try:
        said = handle.told.remote().result(timeout_s=TOLD_S)
    except Exception as error:
        raise LoadError(f"no replica answers: {error}", permanent=False) from error
    return msgspec.json.decode(said, type=messages.Told)
