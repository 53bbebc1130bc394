"""Requests that have ended: read back with all that is known of them, in pages, after a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from frontend.dispatch.budget import Budget
from frontend.dispatch.estimates.shape import Shape
from frontend.dispatch.stream import Stream
from frontend.history.request_record import Earlier, RequestRecord, ended_record
from frontend.history.request_rows import Wanted
from frontend.history.requests import Requests
from frontend.http.request_context import RequestContext
from frontend.store.database import Database
from frontend.store.tables import tables
from ipc.messages.control import HistoryConfig
from ipc.messages.errors import NotFound
from ipc.messages.events import Usage

NOW_S = 1_800_000_000.0
FULL = RequestRecord(
    id="full",
    time_s=NOW_S,
    method="POST",
    path="/v1/chat/completions",
    stage="ended",
    client="10.0.0.1",
    key="ann",
    model="org/chat",
    task="chat",
    streams=True,
    submitted_s=0.1,
    load_s=0.25,
    dispatched_s=0.5,
    began_s=0.6,
    read_s=0.9,
    worked_s=1.9,
    steps=12,
    first_s=1.0,
    total_s=2.0,
    attempt=2,
    worker_pid=77,
    status=200,
    finish="stop",
    prompt_tokens=7,
    usage=Usage(prompt_tokens=7, completion_tokens=2, cached_tokens=3, reasoning_tokens=1),
    audio_s=1.5,
    resumed_s=0.55,
    earlier=(Earlier(0.5, 0.52, "worker_died"),),
    shape=Shape(kind="chat", texts=2, images_bytes=[10, 20], schema=True, seed=5),
)
BARE = RequestRecord(
    id="bare", time_s=NOW_S, method="POST", path="/v1/embeddings", stage="ended", client="::1"
)


@asynccontextmanager
async def requests(
    file: Path | None, wall_s: Callable[[], float] = lambda: NOW_S
) -> AsyncIterator[Requests]:
    store = Database(file, tables(HistoryConfig()), 8 << 20, wall_s)
    store.begin()
    opened = Requests(store)
    opened.begin()
    try:
        yield opened
    finally:
        opened.end()
        store.end()


def begins(to: Requests, request_id: str) -> RequestContext:
    """A request for a chat comes."""
    context = RequestContext(request_id)
    context.model = "org/chat"
    to.registry.begin(context)
    return context


def ended(to: Requests, *records: RequestRecord) -> None:
    for record in records:
        context = RequestContext(record.id)
        to.registry.begin(context)
        to.registry.end(context, record)


def numbered(count: int, **changes: Any) -> list[RequestRecord]:
    return [replace(BARE, id=str(number), **changes) for number in range(count)]


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


async def ids(of: Requests, limit: int = 100, **wanted: Any) -> list[str]:
    page = await of.page(Wanted(**wanted), limit)
    return [record.id for record in page.records]


def test_all_that_is_known_is_read_back_after_a_restart(tmp_path: Path) -> None:
    async def test() -> None:
        async with requests(tmp_path / "h.db") as before:
            ended(before, FULL, BARE)
        async with requests(tmp_path / "h.db") as after:
            assert (await after.page(Wanted(), 10)).records == [BARE, FULL]
            assert await after.record("full") == FULL
            with pytest.raises(NotFound):
                await after.record("none")

    run(test)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
def test_pages_follow_each_other_without_a_gap(tmp_path: Path, kept: bool) -> None:
    async def test() -> None:
        async with requests(tmp_path / "h.db" if kept else None) as them:
            ended(them, *numbered(5))
            them.registry.begin(RequestContext("open"))
            first = await them.page(Wanted(), 2)
            assert [one.id for one in first.records] == ["open", "4", "3"]
            ended(them, replace(BARE, id="later"))
            second = await them.page(Wanted(), 2, first.next)
            third = await them.page(Wanted(), 2, second.next)
            assert [one.id for one in second.records + third.records] == ["2", "1", "0"]
            assert third.next is None

    run(test)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"by": "ann"}, ["full"]),
        ({"by": "::1"}, ["failed", "bare"]),
        ({"by": "10.0.0.1"}, []),
        ({"model": "org/chat"}, ["full"]),
        ({"path": "/v1/embeddings"}, ["failed", "bare"]),
        ({"statuses": (500, 599)}, ["failed"]),
        ({"since_s": NOW_S + 1}, ["failed"]),
        ({"until_s": NOW_S + 1}, ["bare", "full"]),
        ({"by": "::1", "statuses": (200, 299)}, []),
    ],
    ids=str,
)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
def test_a_filter_means_the_same_here_and_in_the_file(
    tmp_path: Path, kept: bool, wanted: dict[str, Any], found: list[str]
) -> None:
    async def test() -> None:
        async with requests(tmp_path / "h.db" if kept else None) as them:
            failed = replace(BARE, id="failed", status=503, time_s=NOW_S + 5)
            ended(them, FULL, BARE, failed)
            assert await ids(them, **wanted) == found

    run(test)


def test_a_file_that_cannot_be_read_leaves_what_this_process_remembers(tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "h.db").mkdir()
        async with requests(tmp_path / "h.db") as them:
            ended(them, BARE)
            assert await ids(them) == ["bare"]
            assert (await them.record("bare")).id == "bare"

    run(test)


def test_what_a_frontend_had_in_hand_that_died_has_ended_with_it(tmp_path: Path) -> None:
    """Its last words are those of `end`, which is as one that was killed after a look."""

    async def test() -> None:
        async with requests(tmp_path / "h.db", time.time) as before:
            begins(before, "waits")
            at_work = begins(before, "at work")
            at_work.stream = Stream("job", at_work.started_at, lambda _: None, Budget(1).open())
            at_work.stream.hand_over(at_work.started_at + 0.25, 1, 77)
            ends = begins(before, "ends")
            before.registry.end(ends, replace(BARE, id="ends", status=200))
        async with requests(tmp_path / "h.db", time.time) as after:
            found = {one.id: one for one in (await after.page(Wanted(), 10)).records}
            assert {name: one.error for name, one in found.items()} == {
                "waits": "lost_with_frontend",
                "at work": "lost_with_frontend",
                "ends": None,
            }
            lost = found["at work"]
            assert (lost.stage, lost.status, lost.model) == ("ended", 503, "org/chat")
            assert (lost.dispatched_s, lost.worker_pid) == (0.25, 77)
            assert lost.total_s is not None
        async with requests(tmp_path / "h.db", time.time) as later:
            assert len((await later.page(Wanted(), 10)).records) == 3

    run(test)


def test_one_whose_end_was_written_is_not_lost(tmp_path: Path) -> None:
    """A frontend may die between the row of its end and the look after it."""

    async def test() -> None:
        async with requests(tmp_path / "h.db", time.time) as before:
            context = begins(before, "ends")
            ended(before, ended_record(context, time.monotonic(), time.time()))
        async with requests(tmp_path / "h.db", time.time) as after:
            assert await ids(after) == ["ends"]

    run(test)
