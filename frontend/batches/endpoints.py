"""The routes that a batch may ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from ipc.messages.jobs import Task

Endpoint = Literal["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"]
# What a model must do that is asked there.
TASK_OF: Mapping[str, Task] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "chat",
    "/v1/responses": "chat",
    "/v1/embeddings": "embed",
}
assert TASK_OF.keys() == set(get_args(Endpoint))
