"""What is asked of NVIDIA's driver on boxes that have none, or one that knows little."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor import health
from supervisor.children.vram import nvml
from supervisor.host import hardware, nvidia


class NVMLError(Exception):
    pass


def fail(*_: object) -> Any:
    raise NVMLError


def library(**functions: Any) -> SimpleNamespace:
    """One GPU with 8 GiB, of which process 77 holds 2; ``functions`` replace what it can do."""
    calls: dict[str, Any] = {
        "NVMLError": NVMLError,
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda _: "GPU",
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(
            total=8 << 30, used=3 << 30, free=5 << 30
        ),
        "nvmlDeviceGetUtilizationRates": lambda _: SimpleNamespace(gpu=40),
        "nvmlDeviceGetComputeRunningProcesses": lambda _: [
            SimpleNamespace(pid=77, usedGpuMemory=2 << 30),
            SimpleNamespace(pid=78, usedGpuMemory=None),
        ],
    }
    return SimpleNamespace(**calls | functions)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(None, id="no library, as on a Mac"),
        pytest.param(library(nvmlInit=fail), id="no driver"),
        pytest.param(
            library(nvmlDeviceGetMemoryInfo=fail, nvmlDeviceGetComputeRunningProcesses=fail),
            id="a driver that does not know",
        ),
    ],
)
def test_without_an_answer_everything_goes_on(
    found: SimpleNamespace | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", found)
    assert health.gpus() == []
    assert not nvml("cuda:0", 77)
    assert hardware.free_mb("cuda") == pytest.approx(hardware.free_mb("cpu"), rel=0.2)


def test_what_the_driver_knows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library())
    assert health.gpus() == [
        {
            "device": "cuda:0",
            "name": "GPU",
            "memory_total_mb": 8192,
            "memory_used_mb": 3072,
            "utilization_percent": 40,
            "power_w": None,
            "power_limit_w": None,
            "celsius": None,
            "throttling": None,
        }
    ]
    assert [nvml("cuda:0", pid) for pid in (77, 78, 79)] == [True, True, False]
    assert hardware.free_mb("cuda") == 5120


def test_power_heat_and_what_slows_it_down_are_told_where_the_driver_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = library(
        nvmlDeviceGetPowerUsage=lambda _: 61_480,
        nvmlDeviceGetEnforcedPowerLimit=fail,
        nvmlDeviceGetTemperature=lambda _, sensor: 70 + sensor,
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda _: 0x1 | 0x4 | 0x20 | 0x40,
    )
    monkeypatch.setitem(sys.modules, "pynvml", known)
    (told,) = health.gpus()
    assert (told["power_w"], told["power_limit_w"], told["celsius"]) == (61.5, None, 70)
    assert told["throttling"] == ["heat", "power_cap"]


def test_the_library_is_shut_down_however_the_question_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[bool] = []
    monkeypatch.setitem(sys.modules, "pynvml", library(nvmlShutdown=lambda: ended.append(True)))
    assert nvidia.ask(fail, "otherwise") == "otherwise"
    assert nvidia.ask(lambda _: "answer", "otherwise") == "answer"
    assert ended == [True, True]
