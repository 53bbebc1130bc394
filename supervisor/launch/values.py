"""What is in force for one model, as operators are told it: each value, and who has said so."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ipc.messages.configuration import DEFAULT, ENTRY, Value
from ipc.tasks import TASKS
from supervisor.config import options
from supervisor.config.spec import SAME
from supervisor.launch.candidate import Candidate

_OF_ALL = ("engine", "device", "replicas", "scaling", *SAME, "queue_bytes")
# What an entry calls otherwise than a spec does.
_IN_ENTRY = {"queue_bytes": "queue_mb", "scaling": "replicas"}
# What follows an argument that is called like a secret.
_SECRETS = re.compile(r"(?i)(-[\w-]*(?:key|token|secret|password)[\w-]*[ =])\S+")


def values_of(candidate: Candidate) -> dict[str, Value]:
    """By key of an entry; what an entry has below ``options`` and ``defaults`` with a dot."""
    spec, said_by = candidate.spec, candidate.said_by
    of_others = {key for task in TASKS.values() for key in task.catalog_keys}
    keys = [key for key in _OF_ALL if key not in of_others or key in TASKS[spec.task].catalog_keys]
    found = {key: _value(candidate, key, getattr(spec, key), said_by.get(key)) for key in keys}
    if "defaults" in TASKS[spec.task].catalog_keys:
        for key in spec.defaults.__struct_fields__:
            name = f"defaults.{key}"
            value = getattr(spec.defaults, key)
            found[name] = _value(candidate, name, value, said_by.get(name))
    for key, one in options.in_force(spec.engine, spec.task, spec.options).items():
        found[f"options.{key}"] = _value(candidate, f"options.{key}", one["value"], one["from"])
    return found


def _value(candidate: Candidate, key: str, value: Any, origin: str | None) -> Value:
    said_in = candidate.model.said_in
    file = said_in.get(_IN_ENTRY.get(key, key.partition(".")[0]))
    return Value(
        value=_shown(msgspec.to_builtins(value)),
        origin=origin or DEFAULT,
        file=str(file) if file is not None and origin == ENTRY else "",
    )


def _shown(value: Any) -> Any:
    """Without what somebody should not have written there."""
    if not isinstance(value, str):
        return value
    return _SECRETS.sub(r"\1***", value)
