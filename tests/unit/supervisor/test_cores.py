"""How many threads a model gets, of processors as Linux describes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.host.cores import capacities, useful


@pytest.mark.parametrize(
    ("speeds", "threads"),
    [
        ([1024], 1),
        ([1024, 1024], 2),
        ([1024] * 16, 16),
        ([1024] * 4 + [414] * 4, 4),  # eight would be as fast as 8 * 414: slower than four
        ([1024] * 2 + [512] * 8, 10),  # two alone leave most of the machine idle
        ([1024] * 8 + [512] * 8, 8),  # as fast as all, with half the threads
        ([250, 1024, 1024, 871], 3),
        ([], 1),
    ],
)
def test_so_many_cores_as_are_fastest_with_equal_shares(speeds: list[int], threads: int) -> None:
    assert useful(speeds) == threads


def test_hyper_threads_are_one_core(tmp_path: Path) -> None:
    siblings(tmp_path, {0: "0,4", 1: "1,5", 2: "2-3", 3: "2-3", 4: "0,4", 5: "1,5"})
    assert capacities(range(6), tmp_path) == [1024] * 3
    assert capacities({0, 4, 1}, tmp_path) == [1024] * 2
    assert capacities({4, 5}, tmp_path) == [1024] * 2


def test_the_kernel_tells_how_fast_the_cores_of_arm_are(tmp_path: Path) -> None:
    siblings(tmp_path, {cpu: str(cpu) for cpu in range(8)})
    for cpu in range(8):
        speed = 414 if cpu < 4 else 1024
        write(tmp_path / f"system/cpu/cpu{cpu}/cpu_capacity", str(speed))
    assert capacities(range(8), tmp_path) == [414] * 4 + [1024] * 4


def test_efficient_cores_of_intel_count_half(tmp_path: Path) -> None:
    siblings(tmp_path, {0: "0-1", 1: "0-1"} | {cpu: str(cpu) for cpu in range(2, 9)})
    write(tmp_path / "cpu_atom/cpus", "2-7,8")
    assert capacities(range(9), tmp_path) == [1024] + [512] * 7


def test_where_nothing_is_told_each_cpu_is_a_core(tmp_path: Path) -> None:
    assert capacities({0, 1, 2}, tmp_path) == [1024] * 3


def siblings(system: Path, lists: dict[int, str]) -> None:
    for cpu, text in lists.items():
        write(system / f"system/cpu/cpu{cpu}/topology/thread_siblings_list", text)


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n")
