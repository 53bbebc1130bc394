"""What a box tells of the power that its processors take and of what slows them down.

Most boxes tell some of it, virtual machines none: what cannot be read is None.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

Report = dict[str, Any]

# Watts are told over stretches of at least a second: counters of energy move in steps.
STRETCH_S = 1.0
# A Raspberry Pi's get_throttled: what holds it back now, by its bits (raspberrypi.com,
# documentation of vcgencmd).
_PI = {0: "under_voltage", 1: "frequency_capped", 2: "throttled", 3: "temperature_limit"}
_PI_FILE = "devices/platform/soc/soc:firmware/get_throttled"


class _Counter(NamedTuple):
    """The energy of a package by now, and from where on its counter begins anew."""

    microjoules: int
    wraps_at: int


class Power:
    """Reads them below ``system``. Watts are the mean since the report before."""

    def __init__(
        self, system: Path = Path("/sys"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._system = system
        self._clock = clock
        self._at = clock()
        self._energy = self._counters()
        self._watts: float | None = None

    def report(self) -> Report:
        """``throttle_events`` counts, since the box was started, how often a core or a package was
        slowed down for its heat; ``throttling`` names what holds the box back now."""
        cpus = self._system / "devices/system/cpu"
        now_khz = _numbers(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
        most_khz = _numbers(cpus.glob("cpu[0-9]*/cpufreq/cpuinfo_max_freq"))
        events = _numbers(cpus.glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
        return {
            "cpu_mhz": round(sum(now_khz) / len(now_khz) / 1000) if now_khz else None,
            "cpu_max_mhz": round(max(most_khz) / 1000) if most_khz else None,
            "cpu_watts": self._cpu_watts(),
            "throttle_events": sum(events) if events else None,
            "throttling": self._throttling(),
        }

    def _cpu_watts(self) -> float | None:
        took_s = self._clock() - self._at
        if took_s < STRETCH_S:
            return self._watts
        before, self._energy = self._energy, self._counters()
        self._at += took_s
        spent = [_spent(before[name], now) for name, now in self._energy.items() if name in before]
        self._watts = round(sum(spent) / took_s / 1e6, 1) if spent else None
        return self._watts

    def _counters(self) -> dict[str, _Counter]:
        """Those of the packages, which hold those of their cores; since 2020 only root reads
        them."""
        found = {}
        for zone in self._system.glob("class/powercap/intel-rapl:[0-9]*"):
            if zone.name.count(":") != 1:
                continue
            energy, most = _number(zone / "energy_uj"), _number(zone / "max_energy_range_uj")
            if energy is not None and most is not None:
                found[zone.name] = _Counter(energy, most)
        return found

    def _throttling(self) -> list[str] | None:
        with suppress(OSError, ValueError):
            bits = int((self._system / _PI_FILE).read_text(), 16)
            return [word for bit, word in _PI.items() if bits >> bit & 1]
        return None


def _spent(before: _Counter, now: _Counter) -> int:
    """Microjoules, also over the end of the counter."""
    return (now.microjoules - before.microjoules) % now.wraps_at


def _numbers(files: Iterable[Path]) -> list[int]:
    return [number for number in map(_number, files) if number is not None]


def _number(file: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(file.read_text())
    return None
