"""What operators are told of the configuration that is in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ipc.messages.configuration import Setting, Value
from supervisor.plan import Plan


def configuration(plan: Plan) -> dict[str, Any]:
    """As `GetConfig` has it."""
    return told(plan.settings, plan.values, plan.origin.files if plan.origin else [])


def told(
    settings: Iterable[Setting], models: Mapping[str, Mapping[str, Value]], files: Sequence[str]
) -> dict[str, Any]:
    """The same of parts. ``from`` is what `ipc.messages.configuration` calls the origin."""
    return {
        "settings": [_told(one) for one in settings],
        "models": {
            name: {key: _told(value) for key, value in values.items()}
            for name, values in models.items()
        },
        "files": list(files),
    }


def _told(one: Setting | Value) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(one)
    return {"from" if key == "origin" else key: value for key, value in found.items()}
