"""How many threads a model computes on.

Each model gets them all: the kernel shares the cores out among those that are busy, and one that is
idle takes none. What a model splits among its threads it splits evenly and then waits for the
slowest of them, hence one thread for each core, not for each of a core's hyper-threads, and none
for cores that would only hold up the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

# The kernel's scale: the fastest core of a machine has this capacity.
FULL = 1024
# Linux tells the capacity of ARM and RISC-V cores only. One of Intel's efficient cores multiplies
# half as many numbers in a cycle as a performance core.
_EFFICIENT = FULL // 2


def useful(speeds: Sequence[int]) -> int:
    """How many cores of these ``speeds`` are fastest for work that is split evenly: their number
    times the speed of the slowest of them."""
    fastest = sorted(speeds, reverse=True)
    return max(range(1, len(fastest) + 1), key=lambda count: count * fastest[count - 1], default=1)


def capacities(cpus: Iterable[int], system: Path = Path("/sys/devices")) -> list[int]:
    """The speeds of the physical cores to which ``cpus`` belong, as Linux tells them; it counts
    hyper-threads as CPUs."""
    efficient = _cpus(_read(system / "cpu_atom/cpus"))
    cores: dict[str, int] = {}
    for cpu in sorted(cpus):
        folder = system / f"system/cpu/cpu{cpu}"
        siblings = _read(folder / "topology/thread_siblings_list") or str(cpu)
        told = _read(folder / "cpu_capacity")
        guess = _EFFICIENT if cpu in efficient else FULL
        cores.setdefault(siblings, int(told) if told else guess)
    return list(cores.values())


def _cpus(text: str) -> set[int]:
    """The numbers in a list such as 0-3,8."""
    ends = [part.split("-") for part in text.split(",") if part]
    return {cpu for part in ends for cpu in range(int(part[0]), int(part[-1]) + 1)}


def _read(file: Path) -> str:
    with suppress(OSError):
        return file.read_text().strip()
    return ""
