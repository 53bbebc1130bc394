"""From a model to what Ray Serve is told about it. No Ray in here."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from ipc.messages.spec import Cluster, Spec

# A replica that does not answer whether it is well: asked each second, three times, each with so
# long for an answer.
CHECK_S = 1.0
CHECK_TIMEOUT_S = 3.0
# How often a replica that cannot be loaded is tried before the model counts as failed.
LOAD_TRIES = 3
# How long one that leaves has for what it has in hand.
LEAVE_S = 30.0
_READABLE = 40


def app_of(model: str) -> str:
    """The name of the application that serves a model: no two models have one."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", model).strip("-")[:_READABLE]
    return f"{readable}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def digest_of(cluster: Cluster) -> str:
    """Changes with what a model is or how it is served, and is the same on all boxes whose catalog
    has the same entry and whose files are the same."""
    by_box = {"created": 0, "threads": 0, "device": "", "cache": "", "engine_why": ""}
    alike = replace(portable(cluster), **by_box)
    return hashlib.sha256(msgspec.json.encode(alike)).hexdigest()


def portable(cluster: Cluster) -> Spec:
    """What is served, with paths for every box: those below the models folder become relative."""
    spec, root = cluster.served, Path(cluster.models_dir)
    return replace(spec, path=_below(root, spec.path), cache=_below(root, spec.cache))


def at_home(spec: Spec, models_dir: str) -> Spec:
    """`portable` undone, on the box that has a replica. Ray shows it one GPU, which is the first
    there, whatever its number was on the box that has deployed it."""
    root = Path(models_dir)
    paths = {key: str(root / path) for key in ("path", "cache") if (path := getattr(spec, key))}
    device = "cuda:0" if spec.device.startswith("cuda:") else spec.device
    return replace(spec, device=device, **paths)


def options(cluster: Cluster) -> dict[str, Any]:
    """Those of the deployment: how many replicas there are at first, and what each needs of a box.
    Ray scales nothing by itself."""
    spec = cluster.served
    return {
        "num_replicas": spec.replicas,
        "max_ongoing_requests": spec.credit,
        "health_check_period_s": CHECK_S,
        "health_check_timeout_s": CHECK_TIMEOUT_S,
        "graceful_shutdown_timeout_s": LEAVE_S,
        "max_constructor_retry_count": LOAD_TRIES,
        "logging_config": {"enable_access_log": False, "log_level": "WARNING"},
        "ray_actor_options": _actor(cluster),
    }


def _actor(cluster: Cluster) -> dict[str, Any]:
    """Processors are shared, as on one box; memory and GPUs are what a box can be short of."""
    spec = cluster.served
    found: dict[str, Any] = {"num_cpus": 0, "memory": cluster.memory_mb << 20}
    if spec.device.startswith("cuda"):
        found["num_gpus"] = 1
    if spec.threads:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        found["runtime_env"] = {"env_vars": dict.fromkeys(names, str(spec.threads))}
    return found


def _below(root: Path, path: str) -> str:
    if not path or not Path(path).is_relative_to(root):
        return path
    return str(Path(path).relative_to(root))
