"""A worker on a GPU, whose memory and whose absence are simulated: the supervision is real."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from supervisor.children.vram import WAIT_S
from tests.process.box import CHAT, EMBED, Box, MakeBox, spec, wait_until
from tests.process.faults.fake_gpu import Use, fake_gpu

GIB = 1 << 30


@pytest.fixture
def gpu(tmp_path: Path) -> Iterator[Use]:
    """Sets how much of the GPU is in use, and what each process holds of it."""
    with fake_gpu(tmp_path / "gpu.json") as use:
        yield use


def workers(box: Box, pids: set[int]) -> set[int]:
    """The processes of the box, but for ``pids``."""
    return {process.pid for process in box.family()} - pids


def times_listed(tmp_path: Path, pid: int) -> int:
    """How often the supervisor was told that the process holds memory."""
    listed = tmp_path / "gpu.listed"
    return sum(str(pid) in line.split() for line in listed.read_text().splitlines())


def holding_box(make_box: MakeBox, gpu: Use, tmp_path: Path) -> tuple[Box, int, set[int]]:
    """A box with one worker that holds 4 of 6 GiB in use, as its supervisor knows; its pid, and the
    pids of all others."""
    box = make_box(spec(CHAT, device="cuda:0"), spec(EMBED)).wait_ready()
    pid = int(box.replica(CHAT)["pid"])
    gpu(6 * GIB, {pid: 4 * GIB})
    others = {process.pid for process in box.family()} - {pid}
    wait_until(lambda: times_listed(tmp_path, pid) > 4)
    return box, pid, others


def test_the_next_worker_waits_for_the_memory_of_the_last(
    make_box: MakeBox, gpu: Use, tmp_path: Path
) -> None:
    box, pid, others = holding_box(make_box, gpu, tmp_path)
    killed_at = time.monotonic()
    psutil.Process(pid).kill()  # the driver goes on listing it
    wait_until(lambda: "waits for GPU memory" in str(box.replica(CHAT)["reason"]))
    listed = times_listed(tmp_path, pid)
    while times_listed(tmp_path, pid) < listed + 10:  # it looks, and finds it there still
        assert not workers(box, others), "it did not wait"
        assert box.replica(CHAT)["next_start_s"] >= 0
        assert box.embed("others go on").status_code == 200
    gpu(6 * GIB, {1: 6 * GIB})  # what others have taken meanwhile is nothing to wait for
    wait_until(lambda: workers(box, others))
    assert time.monotonic() - killed_at < WAIT_S, "by then it would have started anyway"
    wait_until(lambda: box.replica(CHAT)["state"] == "ready")
    assert len(workers(box, others)) == 1
    assert box.chat("again").status_code == 200


@pytest.mark.chaos
def test_it_does_not_wait_for_ever(make_box: MakeBox, gpu: Use, tmp_path: Path) -> None:
    box, pid, others = holding_box(make_box, gpu, tmp_path)
    psutil.Process(pid).kill()
    killed_at = time.monotonic()
    wait_until(lambda: box.replica(CHAT)["state"] == "backoff")
    while not workers(box, others):
        assert time.monotonic() - killed_at < WAIT_S + 10
        time.sleep(0.2)
    assert time.monotonic() - killed_at > WAIT_S - 2
    wait_until(lambda: box.replica(CHAT)["state"] == "ready")


def test_a_model_that_settles_for_the_cpu_is_not_served(make_box: MakeBox) -> None:
    box = make_box(spec(CHAT, device="cuda:0", options={"load_device": "cpu"}), spec(EMBED))
    wait_until(lambda: box.ask("/livez") == 200)
    wait_until(lambda: box.replica(CHAT)["generation"] >= 2)
    assert "has put the model on the cpu, not on cuda:0" in box.replica(CHAT)["last_exit"]
    assert box.ask("/readyz") == 503
    assert box.chat("x").json()["error"]["code"] in ("model_loading", "circuit_open")
    wait_until(lambda: box.embed("others go on").status_code == 200)
