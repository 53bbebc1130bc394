"""The application with a state folder, a scripted dispatcher, and time that tests set."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx2

from frontend.app import Kept, lines_of
from frontend.batches.service import Batches
from frontend.dispatch.budget import Budget
from frontend.dispatch.control import Control
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.event_feed import EventFeed
from frontend.metrics.prometheus import Metrics
from ipc.messages.control import AccessConfig, BatchConfig
from tests.unit.frontend.http_fakes import (
    FakeControl,
    FakeDispatcher,
    application,
    limits,
    report,
    says,
)

DEADLINE_S = 30.0
ENDPOINT = "/v1/chat/completions"

OPEN = AccessConfig()
Json = dict[str, Any]


@dataclass
class Box:
    """One process and a client of it."""

    client: httpx2.AsyncClient
    batches: Batches
    fake: FakeDispatcher

    async def upload(self, lines: bytes, **fields: str) -> httpx2.Response:
        data = {"purpose": "batch", **fields}
        return await self.client.post(
            "/v1/files", data=data, files={"file": ("a.jsonl", lines, "application/jsonl")}
        )

    async def begin(self, *lines: bytes, endpoint: str = ENDPOINT, **more: Any) -> Json:
        """A new batch of these lines."""
        file = (await self.upload(b"\n".join(lines))).json()
        asked = {"input_file_id": file["id"], "endpoint": endpoint, "completion_window": "24h"}
        answer = await self.client.post("/v1/batches", json={**asked, **more})
        assert answer.status_code == 200, answer.text
        return cast(Json, answer.json())

    async def batch(self, batch: Json) -> Json:
        return cast(Json, (await self.client.get(f"/v1/batches/{batch['id']}")).json())

    async def until(self, batch: Json, *statuses: str) -> Json:
        """How the batch is once it has come to one of these statuses."""
        async with asyncio.timeout(DEADLINE_S):
            while (found := await self.batch(batch))["status"] not in statuses:
                await a_moment()
        return found

    async def lines(self, file_id: str | None) -> list[Json]:
        assert file_id is not None
        answer = await self.client.get(f"/v1/files/{file_id}/content")
        return [json.loads(line) for line in answer.text.splitlines()]


@asynccontextmanager
async def box(
    folder: Path,
    fake: FakeDispatcher | None = None,
    gate: AccessConfig = OPEN,
    headers: dict[str, str] | None = None,
    **config: Any,
) -> AsyncIterator[Box]:
    """A process on this state folder, until it is stopped as a drain does."""
    fake = fake or FakeDispatcher(says("hello"))
    now = config.pop("now", None)
    clock = {"now": now} if now else {}
    batches = Batches(
        BatchConfig(folder=str(folder), **config), cast(Dispatcher, fake), 1 << 20, **clock
    )
    kept = Kept.of(limits(gate=gate), EventFeed())
    app = application(fake, batches=batches, kept=kept, gate=gate)
    control = cast(Control, FakeControl(report(chat="ready")))
    budget = Budget(1 << 30)
    metrics = Metrics(cast(Dispatcher, fake), control, budget)
    batches.begin(lines_of(app, metrics, budget, kept))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://box", headers=headers
    ) as client:
        made = Box(client, batches, fake)
        async with asyncio.timeout(DEADLINE_S):
            while (await client.get("/v1/files")).status_code == 503:
                await a_moment()
        yield made
        await batches.close()


async def a_moment() -> None:
    """For the process to go on."""
    await asyncio.sleep(0.005)


def line(name: str, **body: Any) -> bytes:
    messages = [{"role": "user", "content": name}]
    asked = {"model": "org/chat", "messages": messages, **body}
    whole = {"custom_id": name, "method": "POST", "url": ENDPOINT, "body": asked}
    return json.dumps(whole).encode()


def play(scene: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(scene())


async def happens(what: Callable[[], Any]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not what():
            await a_moment()
