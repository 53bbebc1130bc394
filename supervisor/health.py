"""What /health says: measured at the moment of asking, by the process that owns every other."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import psutil

from ipc.messages.spec import Spec
from ipc.messages.state import ModelPhase
from ipc.tasks import TASKS
from supervisor.children.process import Vitals
from supervisor.fleet.member import Member, by_model
from supervisor.fleet.model_states import best, phase
from supervisor.host import nvidia
from supervisor.state.footprints import Footprint

Report = dict[str, Any]


def box(cpu_percent: float) -> Report:
    """The machine: processors, load, memory, swap and GPUs."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "cpus": psutil.cpu_count(),
        "cpu_percent": round(cpu_percent, 1),
        "load_1m": round(psutil.getloadavg()[0], 2),
        "memory_total_mb": round(memory.total / 2**20),
        "memory_available_mb": round(memory.available / 2**20),
        "swap_used_mb": round(swap.used / 2**20),
        "uptime_s": round(time.time() - psutil.boot_time()),
        "gpus": gpus(),
    }


def gpus() -> list[Report]:
    """Each NVIDIA GPU with its memory and load; empty where there is none, or no driver."""
    return nvidia.ask(
        lambda nvml: [_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount())], []
    )


# What slows a GPU down, by the bits of nvmlDeviceGetCurrentClocksThrottleReasons (nvml.h); those
# that mean that it has nothing to do are left out.
_SLOWED = {2: "power_cap", 3: "slowdown", 5: "heat", 6: "heat", 7: "power_brake"}


def _gpu(nvml: Any, index: int) -> Report:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "device": f"cuda:{index}",
        "name": nvml.nvmlDeviceGetName(handle),
        "memory_total_mb": memory.total >> 20,
        "memory_used_mb": memory.used >> 20,
        "utilization_percent": nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        **_power(nvml, handle),
    }


def _power(nvml: Any, handle: Any) -> Report:
    """What not every GPU tells; None where it does not."""

    def told(question: str, *more: Any) -> int | None:
        try:
            found: int = getattr(nvml, question)(handle, *more)
        except (nvml.NVMLError, AttributeError):
            return None
        return found

    watts, limit = told("nvmlDeviceGetPowerUsage"), told("nvmlDeviceGetEnforcedPowerLimit")
    bits = told("nvmlDeviceGetCurrentClocksThrottleReasons")
    slowed = {word for bit, word in _SLOWED.items() if bits is not None and bits >> bit & 1}
    return {
        "power_w": None if watts is None else round(watts / 1000, 1),
        "power_limit_w": None if limit is None else round(limit / 1000, 1),
        "celsius": told("nvmlDeviceGetTemperature", 0),  # NVML_TEMPERATURE_GPU
        "throttling": None if bits is None else sorted(slowed),
    }


def process(pid: int, vitals: Vitals | None) -> Report:
    if vitals is None:
        return {"pid": pid}
    return {"pid": pid, **vitals.report(), "uptime_s": _uptime_s(pid)}


def _uptime_s(pid: int) -> int | None:
    try:
        return round(time.time() - psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def member(one: Member, now: float) -> Report:
    """One child: what it is doing, since when, and what ended it last time."""
    replica, counters = one.replica, one.replica.counters
    vitals = one.process.sample() if one.process else None
    return {
        "replica": replica.name,
        "state": replica.state,
        "stage": replica.stage if replica.state == "starting" else None,
        "generation": replica.generation,
        "restarts": replica.restarts,
        "recycles": replica.recycles,
        "reason": replica.explained,
        "last_exit": replica.last_exit,
        "next_start_s": _until(replica.next_start_at, now),
        **process(one.process.pid if one.process else 0, vitals),
        "device": replica.loaded.device if replica.loaded else None,
        "detail": replica.loaded.detail if replica.loaded else None,
        "in_flight": counters.in_flight,
        "progress": counters.progress,
        "progress_age_s": round(now - replica.progress_at, 1),
        "jobs": counters.jobs,
        "failed": counters.failed,
        "prompt_tokens": counters.prompt_tokens,
        "completion_tokens": counters.completion_tokens,
        "padding_tokens": counters.padding_tokens,
        "cache_hits": counters.cache_hits,
        "cache_misses": counters.cache_misses,
        "reread_tokens": counters.reread_tokens,
        "guessed_tokens": counters.guessed_tokens,
        "accepted_tokens": counters.accepted_tokens,
        "warm": replica.warm,
    }


def _until(at: float | None, now: float) -> float | None:
    """The seconds left, 0 for what is due and waits for something else."""
    return None if at is None else round(max(0.0, at - now), 1)


def models(
    everyone: Iterable[Member],
    leaving: set[str],
    resting: Collection[str],
    unavailable: dict[str, str],
    footprint: Callable[[Spec], Footprint | None],
    terms: Callable[[str], Report],
    now: float,
) -> list[Report]:
    """Every model with its replicas, those included that only answer what they were asked before,
    and those that could not be fetched.

    ``footprint`` tells what a worker of a model was measured to take, ``terms`` how long one stays
    that is not leaving for good.
    """
    found = [
        {
            **_model(name, group, phase(group, resting=name in resting), footprint, now),
            **({"leaving": True} if name in leaving else terms(name)),
        }
        for name, group in by_model(everyone).items()
    ]
    missing: list[Report] = [
        {"name": name, "state": "failed", "reason": reason, "replicas": []}
        for name, reason in unavailable.items()
    ]
    return found + missing


def _model(
    name: str,
    group: list[Member],
    state: ModelPhase,
    footprint: Callable[[Spec], Footprint | None],
    now: float,
) -> Report:
    spec, speaker = group[-1].spec, best(group)  # the last is the newest
    assert spec is not None
    measured = footprint(spec)
    return {
        "name": name,
        "task": spec.task,
        "capability": TASKS[spec.task].capability,
        "engine": spec.engine,
        "engine_why": spec.engine_why or None,
        "state": state,
        "load": spec.load,
        "reason": None if state == "unloaded" else speaker.explained,
        "warm": speaker.warm,
        "memory_mb": measured.private_mb if measured else None,
        "load_peak_mb": measured.peak_mb if measured else None,
        "replicas": [member(one, now) for one in group],
    }
