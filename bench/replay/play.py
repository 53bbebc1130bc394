"""The requests sent again, each when it came: whoever was slow then keeps nobody waiting now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter

import httpx2
import orjson

from bench.load.server import Request
from bench.replay.recording import Outcome, Recorded

_LEFT = 499


class Player:
    """Sends through ``client``, each at most for ``timeout_s``; ``told`` hears of each outcome."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        timeout_s: float,
        told: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._told = told

    async def play(
        self, requests: Sequence[Recorded], bodies: Sequence[Request], speed: float
    ) -> list[Outcome]:
        """What came of each, in their order. ``speed`` 2 is twice as fast as they came."""
        began_at = perf_counter()

        async def one(recorded: Recorded, request: Request) -> Outcome:
            await asyncio.sleep(max(0.0, began_at + recorded.after_s / speed - perf_counter()))
            outcome = await self._ask(request, recorded.left_s)
            self._told(outcome)
            return outcome

        pairs = zip(requests, bodies, strict=True)
        return await asyncio.gather(*(one(recorded, request) for recorded, request in pairs))

    async def _ask(self, request: Request, left_s: float | None) -> Outcome:
        """Its outcome, for a client that goes away after ``left_s``."""
        sent_at = perf_counter()
        pieces: list[bytes] = []
        first_at: list[float] = []
        try:
            async with asyncio.timeout(self._timeout_s if left_s is None else left_s):
                status = await self._read(request, pieces, first_at)
        except TimeoutError:
            left = left_s is not None
            status, error = (_LEFT, "") if left else (0, "timeout")
        except httpx2.HTTPError as failure:
            status, error = 0, type(failure).__name__
        else:
            error = _error(b"".join(pieces))
        seconds = perf_counter() - sent_at
        return Outcome(
            status=status,
            error=error,
            first_s=first_at[0] - sent_at if first_at else None,
            total_s=seconds,
            tokens=_tokens(b"".join(pieces)),
        )

    async def _read(self, request: Request, pieces: list[bytes], first_at: list[float]) -> int:
        headers = {"content-type": request.content_type}
        stream = self._client.stream("POST", request.path, content=request.body, headers=headers)
        async with stream as answer:
            async for piece in answer.aiter_bytes():
                if not first_at and not piece.startswith(b":"):  # a comment is no answer yet
                    first_at.append(perf_counter())
                pieces.append(piece)
            return answer.status_code


def _parts(body: bytes) -> list[dict[str, object]]:
    """The objects of an answer: the one that it is, or those of its events."""
    lines = (
        body.split(b"\n") if body.startswith((b"data:", b":", b"event:")) else [b"data: " + body]
    )
    found = []
    for line in lines:
        if line.startswith(b"data: ") and b"{" in line:
            try:
                part = orjson.loads(line[6:])
            except ValueError:
                continue
            if isinstance(part, dict):
                found.append(part)
    return found


def _error(body: bytes) -> str:
    """The code of the error that it is or ends with; empty where there is none."""
    for part in _parts(body):
        if isinstance(error := part.get("error"), dict):
            return str(error.get("code") or error.get("type") or "error")
    return ""


def _tokens(body: bytes) -> int | None:
    for part in reversed(_parts(body)):
        if isinstance(usage := part.get("usage"), dict):
            count = usage.get("completion_tokens")
            return count if isinstance(count, int) else None
    return None
