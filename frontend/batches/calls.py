"""A line, asked of this very application: every rule of the route holds for it."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp

from frontend.batches.retry import Outcome
from frontend.in_process import JSON, Asked, ask


async def call(app: ASGIApp, path: str, body: bytes, key: str | None) -> Outcome:
    """POST ``body`` to ``path`` in the background, in the name of ``key``.

    Cancelling this is what a client does who leaves.
    """
    asked = Asked("POST", path, headers=(JSON,), body=body)
    answered = await ask(app, asked, {"background": {"key": key}}, _never)
    return Outcome(answered.status, answered.headers["x-request-id"], bytes(answered.body))


async def _never() -> None:
    """Whoever asks waits for as long as it takes."""
    await asyncio.get_running_loop().create_future()  # until it is cancelled
