"""When a model that has no worker now should have one."""

from __future__ import annotations

from frontend.dispatch.estimates.overdue import time_left_s
from ipc.messages.state import ModelState


def load_left_s(state: ModelState, now: float) -> float | None:
    """In how many seconds the model should be loaded; None where its load was never measured."""
    if state.state == "ready":
        return 0.0
    if state.load_s is None:
        return None
    if state.load_began_at is None:
        return state.load_s + (state.retry_after_s or 0.0)
    return time_left_s(state.load_s, now - state.load_began_at)
