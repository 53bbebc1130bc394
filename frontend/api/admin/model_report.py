"""What operators are told of one model: how it stands, what it takes, how it is to be run. Pure."""

from __future__ import annotations

from typing import Any

from ipc.messages.spec import FileFacts, Spec
from ipc.messages.state import ModelState
from ipc.tasks import capabilities

_RESIDENCY = ("pinned", "idle_unload_s", "idle_s", "leaves_in_s", "load_s")
# As JSON has it.
Report = dict[str, Any]


def model_report(
    spec: Spec, state: ModelState, aliases: list[str], queue: Report, told: Report
) -> Report:
    """``told`` is what the supervisor says of the model, ``queue`` what waits for it here."""
    replicas = told.get("replicas", [])
    return {
        "id": spec.name,
        "aliases": aliases,
        "task": spec.task,
        "capabilities": capabilities(spec, state.loaded),
        "engine": spec.engine,
        "engine_why": spec.engine_why or None,
        "device": state.loaded.device if state.loaded else spec.device,
        "state": state.state,
        "drained": state.drained,
        "last_error": state.refused or told.get("reason"),
        "files": _files(spec.path, spec.facts),
        "memory": {
            "measured_mb": told.get("memory_mb"),
            "load_peak_mb": told.get("load_peak_mb"),
            "estimated_mb": spec.memory_mb or None,
            "resident_mb": _sum(replicas, "rss_mb"),
        },
        "residency": {key: told.get(key) for key in _RESIDENCY},
        "update": told.get("update"),
        "jobs": {
            "done": _sum(replicas, "jobs"),
            "failed": _sum(replicas, "failed"),
            "in_hand": queue.get("in_flight"),
            "waiting": queue.get("depth"),
            "waiting_in_background": queue.get("background"),
            "oldest_s": queue.get("oldest_s"),
        },
        "tokens": {
            "prompt": _sum(replicas, "prompt_tokens"),
            "completion": _sum(replicas, "completion_tokens"),
        },
        "policy": {
            "load": spec.load,
            "idle_unload_s": spec.idle_unload_s,
            "pin": spec.pin,
            "replicas": spec.replicas,
            "max_replicas": spec.most_replicas,
            "slots": spec.slots,
            "queue_limit": spec.queue_limit,
            "queue_timeout_s": spec.queue_timeout_s,
            "request_timeout_s": spec.request_timeout_s,
            "memory_limit_mb": spec.memory_limit_mb or None,
        },
        "scaling": told.get("scaling"),
        "replicas": replicas,
    }


def unfetched_report(name: str, told: Report) -> Report:
    """A model that could not be fetched, or is on its way out: no more is known of it."""
    return {
        "id": name,
        "aliases": [],
        "task": told.get("task"),
        "capabilities": [],
        "engine": told.get("engine"),
        "engine_why": None,
        "device": None,
        "state": told.get("state"),
        "drained": False,
        "last_error": told.get("reason"),
        "files": None,
        "memory": None,
        "residency": None,
        "update": None,
        "jobs": None,
        "tokens": None,
        "policy": None,
        "scaling": None,
        "replicas": told.get("replicas", []),
    }


def _files(path: str, facts: FileFacts) -> Report:
    return {
        "path": path or None,
        "size_bytes": facts.size_bytes or None,
        "digest": facts.digest or None,
        "format": facts.format or None,
        "family": facts.family or None,
        "parameters": facts.parameters or None,
        "quantization": facts.quantization or None,
    }


def _sum(replicas: list[Report], key: str) -> float:
    return round(sum(replica.get(key) or 0 for replica in replicas), 1)
