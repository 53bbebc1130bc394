"""On which cores llama.cpp computes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from ipc.messages.spec import Scaling, Spec
from worker.engines.llama_cpp.cores import mask, one_a_core, tied_to

SPEC = Spec(name="m", task="chat", engine="llama.cpp", path="", threads=2)


def box(folder: Path, siblings: Mapping[int, str]) -> Path:
    for cpu, listed in siblings.items():
        file = folder / f"cpu{cpu}/topology/thread_siblings_list"
        file.parent.mkdir(parents=True)
        file.write_text(f"{listed}\n")
    return folder


@pytest.mark.parametrize(
    ("siblings", "cpus", "chosen"),
    [
        ({0: "0", 1: "1"}, {0, 1}, [0, 1]),
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, {0, 1, 2, 3}, [0, 2]),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, {0, 1, 2, 3}, [0, 1]),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, {2, 3}, [2, 3]),
        ({}, {4, 1}, [1, 4]),
    ],
)
def test_each_core_is_named_once_by_the_first_cpu_that_may_be_used(
    tmp_path: Path, siblings: Mapping[int, str], cpus: set[int], chosen: list[int]
) -> None:
    assert one_a_core(cpus, box(tmp_path, siblings)) == chosen


@pytest.mark.skipif(sys.platform != "linux", reason="affinities are Linux's")
@pytest.mark.parametrize(
    ("spec", "tied"),
    [
        (SPEC, [0, 1]),
        (replace(SPEC, threads=1), []),
        (replace(SPEC, threads=3), []),
        (replace(SPEC, threads=0), []),
        (replace(SPEC, replicas=2), []),
        (replace(SPEC, scaling=Scaling(most=2)), []),
    ],
)
def test_threads_are_tied_where_there_is_one_for_each_core_and_one_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec: Spec, tied: list[int]
) -> None:
    system = box(tmp_path, {0: "0", 1: "1"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert tied_to(spec, system) == tied


@pytest.mark.skipif(sys.platform != "linux", reason="affinities are Linux's")
def test_threads_on_cpus_that_the_library_does_not_know_are_not_tied(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With fewer flags than threads two of them would share a core."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {511, 512})
    assert tied_to(SPEC, tmp_path, most=512) == []
    assert tied_to(SPEC, tmp_path, most=513) == [511, 512]


def test_a_mask_has_a_flag_for_each_cpu_that_the_library_knows() -> None:
    assert mask([0, 2], 4) == [True, False, True, False]
