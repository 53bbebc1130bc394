"""What edge-serve takes: memory and processor while idle, and the time until it serves."""

from __future__ import annotations

import asyncio
import os
import signal
from time import perf_counter
from typing import Any, cast

from bench.figures import Row
from ipc.messages.jobs import Task
from ipc.messages.spec import Spec
from tests.bench.box import Box, serving
from tests.bench.models import Models
from tests.bench.pairs import Rounds

TASKS: tuple[Task, ...] = ("chat", "embed", "speech")
IDLE_S = 3.0


async def measure(rounds: Rounds, models: Models) -> list[Row]:
    """A fresh edge-serve with one model of each task for every round."""
    specs = [models.spec(task) for task in TASKS]
    figures: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds.count):
        rounds.say(f"footprint, round {number + 1} of {rounds.count}")
        async with serving(specs) as box:
            for name, value in (await _one(box, specs)).items():
                figures.setdefault(name, []).append(value)
    return [Row(name, unit, values) for (name, unit), values in figures.items()]


async def _one(box: Box, specs: list[Spec]) -> dict[tuple[str, str], float]:
    ready = await box.ready()
    figures = {(f"start to ready: {model}", "s"): seconds for model, seconds in ready.items()}
    busy_s, since = box.cpu_s(), perf_counter()
    await asyncio.sleep(IDLE_S)
    share = (box.cpu_s() - busy_s) / (perf_counter() - since)
    figures["idle: processor, all processes", "% of one"] = 100 * share
    for name, process in _processes(await box.health()).items():
        figures[f"idle: memory of {name}", "MB"] = process["rss_mb"]
    figures["kill -9 of the chat worker to ready", "s"] = await _recovery_s(box, specs[0].name)
    return figures


def _processes(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    workers = {f"the worker of {one['name']}": one["replicas"][0] for one in report["models"]}
    return {"supervisor": report["supervisor"], "frontend": report["frontend"], **workers}


async def _recovery_s(box: Box, model: str) -> float:
    worker = await box.replica(model)
    killed_at = perf_counter()
    os.kill(cast(int, worker["pid"]), signal.SIGKILL)
    await box.ready_again(model, worker["generation"] + 1)
    return perf_counter() - killed_at
