"""What a box tells of its disks and its temperatures, where it tells any."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import psutil

Report = dict[str, Any]


def disks(folders: Iterable[str]) -> list[Report]:
    """The disks that these folders are on, each once, with what is free for this user."""
    found: dict[tuple[int, int], Report] = {}
    for folder in folders:
        with suppress(OSError):
            usage = psutil.disk_usage(folder)
            told = {"path": folder, "total_mb": usage.total >> 20, "free_mb": usage.free >> 20}
            found.setdefault((usage.total, usage.free), told)
    return list(found.values())


def temperatures() -> list[Report]:
    """Each sensor with what it says and from where on it is too hot, in degrees Celsius."""
    read = getattr(psutil, "sensors_temperatures", None)  # not on every system
    if read is None:
        return []
    with suppress(OSError):
        return [
            {"sensor": _name(chip, one.label), "celsius": one.current, "high_celsius": one.high}
            for chip, sensors in read().items()
            for one in sensors
        ]
    return []


def _name(chip: str, label: str) -> str:
    return f"{chip} {label}" if label else chip
