"""When a model that has no worker now should have one."""

from __future__ import annotations

from ipc.messages.state import ModelState

# What is left at least of a load that takes longer than the last one did.
LEAST_LEFT = 0.1


def load_left_s(state: ModelState, now: float) -> float | None:
    """In how many seconds the model should be loaded; None where its load was never measured."""
    if state.state == "ready":
        return 0.0
    if state.load_s is None:
        return None
    if state.load_began_at is None:
        return state.load_s + (state.retry_after_s or 0.0)
    return max(state.load_began_at + state.load_s - now, LEAST_LEFT * state.load_s)
