"""The answers of llama-swap's API, described for ``/openapi.json``; rendered without these."""

from __future__ import annotations

from typing import Literal

from frontend.api.answer import Answer


class Running(Answer):
    """``ttl`` is after how many seconds without work it leaves, 0: never. ``cmd`` and ``proxy`` are
    empty: nobody runs a command for a model, or reaches it by an address of its own."""

    model: str
    state: Literal["starting", "ready", "stopping"]
    cmd: str
    proxy: str
    ttl: int
    name: str
    description: str


class AllRunning(Answer):
    running: list[Running]


class Unloaded(Answer):
    msg: Literal["ok"]
