"""What is in a child's environment before it imports anything: devices, threads, memory."""

from __future__ import annotations

import os

from ipc.engines import ENGINES
from ipc.messages.spec import Spec

# How often a thread of GNU's OpenMP looks for the others before it sleeps. By itself 300,000, or
# 100 where it knows of more threads than cores; it knows of its own process only. Fewer than these
# cost a model that is alone half of its speed.
OPENMP_SPINS = "10000"
# Memory that malloc takes from the system may be in huge pages: reading all weights for each token
# then misses fewer addresses (docs/performance.md). Only the first arena grows in steps that are
# large enough, so all threads use that one. glibc has both since 2.35, and nobody else reads them.
HUGE_PAGES = "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1"


def environment(spec: Spec | None) -> dict[str, str]:
    """What must be set before a child of ``spec`` imports anything; without one, the frontend."""
    env = dict(os.environ)
    env["PYTHONUNBUFFERED"] = "1"
    env["HF_HUB_OFFLINE"] = "1"
    env["TOKENIZERS_PARALLELISM"] = "false"
    env["CUDA_VISIBLE_DEVICES"] = ""
    if spec is None:
        return env
    kind, _, index = spec.device.partition(":")
    if kind == "cuda":
        env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        env["CUDA_VISIBLE_DEVICES"] = index or os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    if spec.threads:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            env[name] = str(spec.threads)
        if "OMP_WAIT_POLICY" not in env:
            env.setdefault("GOMP_SPINCOUNT", OPENMP_SPINS)
    if spec.engine in ENGINES and ENGINES[spec.engine].huge_pages:
        env.setdefault("GLIBC_TUNABLES", HUGE_PAGES)
    return env
