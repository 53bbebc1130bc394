"""A `Desk` whose models stand as a test says."""

from __future__ import annotations

from typing import Any

import pytest

from ipc.messages.admin import GetHealth, Wish
from ipc.messages.spec import Loaded
from ipc.messages.state import ModelPhase, ModelState
from tests.unit.frontend.api.admin.desk import Desk

LOADED = Loaded(device="cpu", context_tokens=2048, tools=True)


def stand(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, others: ModelPhase = "unloaded", **changes: Any
) -> None:
    """org/chat stands like ``changes``, and was loaded once; ``others`` never."""

    def state(name: str) -> ModelState:
        if name != "org/chat":
            return ModelState(name=name, routes=[], state=others)
        return ModelState(name=name, routes=[], loaded=LOADED, **changes)

    monkeypatch.setattr(desk.dispatcher, "state", state)


def wishes(desk: Desk) -> list[Wish]:
    """What was wished of the supervisor, questions left out."""
    return [wish for wish in desk.control.wishes if not isinstance(wish, GetHealth)]


def acts(desk: Desk) -> list[tuple[str, str | None, str]]:
    """What was written down."""
    return [(act.act, act.on, act.result) for act in desk.control.acts]
