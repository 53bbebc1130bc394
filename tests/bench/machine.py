"""The machine at hand: what it is, and what it can do at most."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import orjson
import psutil

_MEASURE_S = 120.0
# Extensions that the engines make use of.
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimd", "sve")
# In a process of its own, since torch keeps its threads and memory.
_CEILINGS = """
import json, time, torch

def best(work, amount, runs=7):
    work()
    seconds = []
    for _ in range(runs):
        started_at = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started_at)
    return amount / min(seconds) / 1e9

a = torch.ones(64 * 2**20)
b = torch.empty_like(a)
ceilings = {"copy_gb_per_s": best(lambda: b.copy_(a), 2 * a.nbytes)}
ceilings["read_gb_per_s"] = best(lambda: a.sum(), a.nbytes)
for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
    m = torch.ones(2048, 2048, dtype=kind)
    ceilings[f"{name}_gflop_per_s"] = best(lambda: m @ m, 2 * 2048**3)
print(json.dumps(ceilings))
"""


def describe() -> dict[str, object]:
    """What a reader must know to compare figures with those of another machine."""
    return {
        "processor": processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "extensions": [flag for flag in _FLAGS if flag in _flags()],
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def ceilings(python: str | Path) -> dict[str, float]:
    """The best of several runs each: bytes read and written by a copy that no cache holds, bytes
    read by a sum, and square matrix products on all processors, both by the torch of ``python``.

    Raises `RuntimeError`.
    """
    done = subprocess.run(
        [python, "-c", _CEILINGS], capture_output=True, text=True, timeout=_MEASURE_S
    )
    if done.returncode:
        raise RuntimeError(f"the ceilings could not be measured: {done.stderr[-500:]}")
    found: dict[str, float] = orjson.loads(done.stdout)
    return found


def processor() -> str:
    names = _cpuinfo("model name")
    return names[0] if names else platform.machine()


def _flags() -> list[str]:
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return flags[0].split() if flags else []


def _cpuinfo(key: str) -> list[str]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(key)]
