"""On which cores llama.cpp computes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ipc.messages.spec import Spec

_SYSTEM = Path("/sys/devices/system/cpu")
# GGML_MAX_N_THREADS of ggml.h: so many flags a mask has.
MOST_CPUS = 512


def tied_to(spec: Spec, system: Path = _SYSTEM, most: int = MOST_CPUS) -> list[int]:
    """The CPUs to which threads are tied, one for each; nothing where the kernel is to choose.

    The threads wait for each other by looking, many times a token. Where somebody else has work,
    the kernel puts two of them on one core for a while, and then one looks for what the other has
    no core to do: the more threads, the less is done. Tied, one whose core has another guest has
    its share of that core. A model of fewer threads than cores is tied to none, since the first
    ones may be busy while others are idle; nor is one of several workers, nor where there are CPUs
    beyond the first ``most``, which the library does not know.
    """
    if sys.platform != "linux" or spec.most_replicas > 1:
        return []
    cores = one_a_core(os.sched_getaffinity(0), system)
    is_one_each = 1 < len(cores) == spec.threads
    return cores if is_one_each and max(cores) < most else []


def one_a_core(cpus: Iterable[int], system: Path = _SYSTEM) -> list[int]:
    """Of ``cpus`` the first of each physical core, in their order."""
    first: dict[str, int] = {}
    for cpu in sorted(cpus):
        first.setdefault(_siblings(system, cpu), cpu)
    return list(first.values())


def mask(cpus: Sequence[int], size: int) -> list[bool]:
    """``cpus`` as llama.cpp takes them: a flag for each of the ``size`` that it knows."""
    return [cpu in cpus for cpu in range(size)]


def _siblings(system: Path, cpu: int) -> str:
    """What names the core of ``cpu``: the CPUs that it is, as the kernel lists them."""
    with suppress(OSError):
        return (system / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    return str(cpu)
