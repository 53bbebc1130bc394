"""A first request that works, for whoever has just started the server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ipc.types import Spec


def curl(url: str, specs: Sequence[Spec]) -> str:
    """A command that a shell can run, asking the first chat model, or else what there is."""
    for spec in specs:
        body: dict[str, Any] = {"model": spec.name}
        if spec.task == "chat":
            body["messages"] = [{"role": "user", "content": "Who are you?"}]
            return _post(f"{url}/v1/chat/completions", body)
        if spec.task == "embed":
            body["input"] = "hello"
            return _post(f"{url}/v1/embeddings", body)
    return f"curl {url}/v1/models"


def _post(url: str, body: dict[str, Any]) -> str:
    return f"curl {url} -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
