"""Whether a model fits this box: what it would take, and what there is."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Literal

import msgspec

from supervisor.residency.policy import ESTIMATE_HEADROOM

# What a pull needs beyond its files.
SPARE_BYTES = 64 << 20

Verdict = Literal["fits", "fits_alone", "no_memory", "no_disk"]


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """``fetch_bytes`` are to be fetched onto a disk with ``disk_free_bytes``. A worker is estimated
    to take ``memory_mb``, with a margin; of its device's ``memory_total_mb``, ``memory_free_mb``
    are free now."""

    fetch_bytes: int
    disk_free_bytes: int
    memory_mb: int
    memory_free_mb: int
    memory_total_mb: int

    @property
    def verdict(self) -> Verdict:
        """``fits_alone``: once others have left."""
        if self.fetch_bytes + SPARE_BYTES > self.disk_free_bytes:
            return "no_disk"
        if self.memory_mb > self.memory_total_mb:
            return "no_memory"
        return "fits" if self.memory_mb <= self.memory_free_mb else "fits_alone"

    def words(self) -> str:
        """For people, in one line."""
        ends = {
            "fits": "it fits",
            "fits_alone": "it fits only once other programs or models have given memory back",
            "no_memory": "it does not fit",
            "no_disk": "the disk is too small",
        }
        return (
            f"{_mb(self.fetch_bytes)} MB to fetch, {_mb(self.disk_free_bytes)} MB free on the disk;"
            f" about {self.memory_mb} MB of memory, of which {self.memory_free_mb} MB are free: "
            f"{ends[self.verdict]}"
        )


def with_margin(estimated_mb: int) -> int:
    """What must be free for a first load, which has nothing but an estimate."""
    return math.ceil(estimated_mb * ESTIMATE_HEADROOM)


def disk_free_bytes(folder: Path) -> int:
    """What is free where ``folder`` is, or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _mb(size: int) -> int:
    return math.ceil(size / 10**6)
