"""A first request that works, for whoever has just started the server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ipc.messages.spec import Spec


def curl(url: str, specs: Sequence[Spec], *, with_key: bool = False) -> str:
    """A command that a shell can run, asking the first chat model, or else what there is."""
    command = 'curl -H "Authorization: Bearer $EDGE_SERVE_API_KEY"' if with_key else "curl"
    for spec in specs:
        body: dict[str, Any] = {"model": spec.name}
        if spec.task == "chat":
            body["messages"] = [{"role": "user", "content": "Who are you?"}]
            return _post(f"{command} {url}/v1/chat/completions", body)
        if spec.task == "rerank":
            body.update(query="a small bear", documents=["panda", "paris"])
            return _post(f"{command} {url}/v1/rerank", body)
        if spec.task == "embed":
            body["input"] = "hello"
            return _post(f"{command} {url}/v1/embeddings", body)
    return f"{command} {url}/v1/models"


def _post(command: str, body: dict[str, Any]) -> str:
    return f"{command} -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
