"""A first request that works, for whoever has just started the server."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from ipc.messages.control import AccessConfig
from ipc.messages.spec import Spec
from ipc.tasks import TASKS


def curl(url: str, specs: Sequence[Spec], gate: AccessConfig) -> str:
    """A command that a shell can run, and that gets past the ``gate``: it asks the first model that
    takes JSON, else for a list."""
    command = "curl"
    if gate.ssl_certfile:
        command += f" --cacert {shlex.quote(gate.ssl_certfile)}"
    if gate.api_keys:
        command += ' -H "Authorization: Bearer $EDGE_SERVE_API_KEY"'
    for spec in specs:
        task = TASKS[spec.task]
        if task.example is not None:
            return _post(f"{command} {url}{task.path}", {"model": spec.name, **task.example})
    return f"{command} {url}/v1/models"


def _post(command: str, body: dict[str, Any]) -> str:
    return f"{command} -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
