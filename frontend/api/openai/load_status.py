"""Whether a model is loaded, in the words of llama.cpp's router; llama-swap has them, too."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from ipc.messages.state import ModelPhase

Value = Literal["unloaded", "loading", "loaded"]
_VALUES: dict[ModelPhase, Value] = {
    "stopped": "unloaded",
    "unloaded": "unloaded",
    "starting": "loading",
    "ready": "loaded",
    "draining": "unloaded",
    "backoff": "unloaded",
    "failed": "unloaded",
}
_FAILED = ("backoff", "failed")


class LoadStatus(BaseModel):
    """``failed`` is there where the last load, or a worker, has failed."""

    value: Value
    failed: Literal[True] | None = None


def load_status(phase: ModelPhase) -> dict[str, Any]:
    """How a model in this ``phase`` is told; see `LoadStatus`."""
    failed = {"failed": True} if phase in _FAILED else {}
    return {"value": _VALUES[phase], **failed}
