"""What a torch device can do at best: copying memory, and multiplying matrices."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

_RUNS = 10


def copy_bandwidth(device: torch.device) -> float:
    """Bytes a second, read and written, of copying memory far larger than any cache."""
    size = 1 << (31 if device.type == "cuda" else 27)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _fastest_s(lambda: target.copy_(source), device)


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of one large matrix product."""
    size = 8192 if device.type == "cuda" else 768
    one = torch.randn(size, size, device=device).to(dtype)
    return 2 * size**3 / _fastest_s(lambda: one @ one, device)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _fastest_s(act: Callable[[], object], device: torch.device) -> float:
    """The fastest of some runs: a ceiling is not the typical case."""
    taken_s = []
    for _ in range(_RUNS):
        synchronise(device)
        begin = time.perf_counter()
        act()
        synchronise(device)
        taken_s.append(time.perf_counter() - begin)
    return min(taken_s)
