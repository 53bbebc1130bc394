"""What a box runs for a model of the cluster: one worker that passes jobs on. Pure."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from ipc.messages.spec import Cluster, Scaling, Spec, Warmup

# What such a worker takes of its own, measured (154 MB resident): Ray, and nothing of the model.
MEMORY_MB = 100


def forwarding(spec: Spec, memory_mb: int, folder: Path, models_dir: Path) -> Spec:
    """The spec of that worker, for a model of which one replica takes ``memory_mb`` (0: nobody
    knows). It holds as many jobs as all replicas together may run."""
    return replace(
        spec,
        cluster=Cluster(
            served=spec, folder=str(folder), models_dir=str(models_dir), memory_mb=memory_mb
        ),
        device="cpu",
        threads=0,
        memory_mb=MEMORY_MB,
        memory_limit_mb=0,
        recycle_jobs=0,
        replicas=1,
        scaling=Scaling(),
        slots=spec.slots * spec.most_replicas,
        warmup=Warmup(steps=0),
        golden="",
    )
