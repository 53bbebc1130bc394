"""A worker's successor waits for the GPU's memory, as histories of what a probe sees."""

from __future__ import annotations

from supervisor.children.vram import WAIT_S, Vram


class Gpu:
    """Lists the processes that it is told of."""

    def __init__(self, *pids: int) -> None:
        self.pids = set(pids)

    def __call__(self, device: str, pid: int) -> bool:
        assert device == "cuda:0"
        return pid in self.pids


def died_on(gpu: Gpu) -> Vram:
    vram = Vram("cuda:0", gpu)
    vram.note(pid=77)
    vram.on_exit(now=100.0)
    return vram


def test_it_waits_until_the_dead_worker_is_listed_no_more() -> None:
    gpu = Gpu(77)
    vram = died_on(gpu)
    assert not vram.is_back(100.0)
    assert not vram.is_back(101.0)
    gpu.pids.clear()
    assert vram.is_back(102.0)


def test_what_others_take_is_nothing_to_wait_for() -> None:
    gpu = Gpu(77, 5, 6)
    vram = died_on(gpu)
    gpu.pids = {5, 6, 9}
    assert vram.is_back(100.25)


def test_what_is_back_stays_so_though_its_pid_comes_again() -> None:
    gpu = Gpu(77)
    vram = died_on(gpu)
    gpu.pids.clear()
    assert vram.is_back(101.0)
    gpu.pids = {77}
    assert vram.is_back(101.25)


def test_it_does_not_wait_for_ever() -> None:
    vram = died_on(Gpu(77))
    assert not vram.is_back(100.0 + WAIT_S - 0.1)
    assert vram.is_back(100.0 + WAIT_S)


def test_a_worker_that_was_never_listed_is_not_waited_for() -> None:
    gpu = Gpu()  # as in a container, where the driver knows it by another pid
    vram = died_on(gpu)
    gpu.pids = {77}
    assert vram.is_back(100.0)
