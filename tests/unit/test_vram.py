"""A worker's successor waits for the GPU's memory, as histories of what a probe sees."""

from __future__ import annotations

from supervisor.vram import WAIT_S, Usage, Vram


class Gpu:
    """Answers as told."""

    def __init__(self, usage: Usage | None) -> None:
        self.usage = usage

    def __call__(self, device: str, pid: int) -> Usage | None:
        assert (device, pid) in (("cuda:0", 77), ("cuda:0", 0))
        return self.usage


def died_with(gpu: Gpu) -> Vram:
    vram = Vram("cuda:0", gpu)
    vram.note(pid=77)
    vram.on_exit(now=100.0)
    return vram


def test_it_waits_until_nine_tenths_are_back() -> None:
    gpu = Gpu(Usage(used_mb=6000, held_mb=4000))
    vram = died_with(gpu)
    assert not vram.is_back(100.0)
    gpu.usage = Usage(used_mb=2401, held_mb=0)
    assert not vram.is_back(101.0)
    gpu.usage = Usage(used_mb=2400, held_mb=0)
    assert vram.is_back(102.0)


def test_what_is_back_stays_so_whatever_others_take() -> None:
    gpu = Gpu(Usage(used_mb=4000, held_mb=4000))
    vram = died_with(gpu)
    gpu.usage = Usage(used_mb=0, held_mb=0)
    assert vram.is_back(101.0)
    gpu.usage = Usage(used_mb=9000, held_mb=0)
    assert vram.is_back(101.25)


def test_it_does_not_wait_for_ever() -> None:
    vram = died_with(Gpu(Usage(used_mb=6000, held_mb=4000)))
    assert not vram.is_back(100.0 + WAIT_S - 0.1)
    assert vram.is_back(100.0 + WAIT_S)


def test_where_nobody_knows_it_does_not_wait() -> None:
    gpu = Gpu(None)
    assert died_with(gpu).is_back(100.0)
    gpu.usage = Usage(used_mb=6000, held_mb=0)  # no account by process
    vram = died_with(gpu)
    assert vram.is_back(100.0)


def test_a_probe_that_fails_once_does_not_make_it_forget() -> None:
    gpu = Gpu(Usage(used_mb=6000, held_mb=4000))
    vram = Vram("cuda:0", gpu)
    vram.note(pid=77)
    gpu.usage = None
    vram.note(pid=77)
    vram.on_exit(now=100.0)
    gpu.usage = Usage(used_mb=6000, held_mb=0)
    assert not vram.is_back(100.5)
