"""What is counted of requests, kept in a file, and told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from frontend.dispatch.budget import Budget
from frontend.dispatch.stream import Stream
from frontend.http.request_context import RequestContext
from frontend.store.database import Database, Unavailable
from frontend.usage.ledger import USAGE, Ledger
from frontend.usage.report import Question, UsageReports, as_csv
from frontend.usage.spent import Spent, spent_by
from ipc.messages.blob import Blob
from ipc.messages.errors import Cancelled
from ipc.messages.events import ChatResult, Delta, Done, EmbedResult, Result, Usage
from tests.unit.frontend.http_fakes import CHAT, EMBED, TRANSCRIPT
from tests.unit.frontend.http_fakes import USAGE as TOKENS

DAY = 20_000 * 86_400
NOW = DAY + 3600.0 + 30
T = TypeVar("T")


def chat(tokens: Usage = TOKENS) -> Result:
    return ChatResult(finish="stop", usage=tokens)


def ended(key: str | None, result: Result | None, model: Any = CHAT) -> RequestContext:
    """One whose worker had it in hand for two seconds, until 12 on the monotonic clock."""
    context = RequestContext("id", Budget(0))
    context.key = key
    context.names(model)
    context.stream = stream = Stream("id", 9.0, lambda _: None, context.claim)
    stream.dispatched_at = 10.0
    if result is not None:
        stream.push(Done("id", result), 12.0)
        context.usage = result.usage
    return context


def kept(folder: Path, do: Callable[[Ledger, UsageReports], Awaitable[T]], now: float = NOW) -> T:
    async def run() -> T:
        store = Database(folder / "history.db", (USAGE,), 1 << 24, lambda: now)
        ledger = Ledger(store, lambda: now)
        store.begin()
        try:
            return await do(ledger, UsageReports(ledger, store))
        finally:
            ledger.flush()
            store.end()

    return asyncio.run(run())


def test_what_a_request_took() -> None:
    assert spent_by(ended("ann", chat()), 12.0) == Spent(7, 3, 2, work_s=2.0)
    assert spent_by(ended("ann", TRANSCRIPT), 12.0).audio_s == 2.5
    vectors = EmbedResult(vectors=Blob(b""), count=5, dimensions=1, usage=Usage(prompt_tokens=9))
    assert spent_by(ended("ann", vectors, EMBED), 12.0) == Spent(9, texts=5, work_s=2.0)


def test_what_was_cut_off_took_what_was_told_of_it() -> None:
    context = ended("ann", None)
    assert context.stream is not None
    context.stream.push(Delta("id", "a", tokens=3, prompt_tokens=40), 11.0)
    context.stream.push(Delta("id", "b", tokens=2), 11.5)
    context.stream.fail(Cancelled("gone"))
    assert spent_by(context, 12.0) == Spent(40, 0, 5, work_s=2.0)
    context.stream.dispatched_at = None
    assert spent_by(context, 12.0) == Spent()


def test_sums_are_told_by_what_is_asked_for(tmp_path: Path) -> None:
    async def day(ledger: Ledger, reports: UsageReports) -> None:
        ledger.count(ended("ann", chat()), 12.0)
        ledger.count(ended("ann", chat()), 12.0)
        ledger.count(ended("bob", chat()), 12.0)
        ledger.count(ended(None, chat()), 12.0)
        refused = RequestContext("id", Budget(0))
        refused.key, refused.error = "ann", "rate_limit_exceeded"
        ledger.count(refused, 12.0)
        ledger.count(RequestContext("id", Budget(0)), 12.0)  # for no model: of no interest
        rows = await reports.rows(Question(DAY, DAY + 86_400, ("day", "key")))
        told = [(row["day"], row["key"], row["requests"], row["failed"]) for row in rows]
        date = "2024-10-04"
        assert told == [(date, "", 1, 0), (date, "ann", 3, 1), (date, "bob", 1, 0)]
        assert rows[1] == {
            "day": date,
            "key": "ann",
            "requests": 3,
            "failed": 1,
            "prompt_tokens": 14,
            "cached_tokens": 6,
            "completion_tokens": 4,
            "audio_s": 0.0,
            "texts": 0,
            "work_s": 4.0,
        }
        by_model = await reports.rows(Question(DAY, DAY + 86_400, ("model",), key="ann"))
        assert [(row["model"], row["requests"]) for row in by_model] == [("", 1), (CHAT.name, 2)]
        assert await reports.rows(Question(DAY + 86_400, 1e12, ("day",))) == []
        assert await reports.rows(Question(DAY + 86_400, 1e12, ())) == []
        assert await reports.tokens_by_key(DAY) == {"": 9, "ann": 18, "bob": 9}

    kept(tmp_path, day)


def test_what_was_handed_over_is_there_after_a_restart_and_adds_up(tmp_path: Path) -> None:
    async def once(ledger: Ledger, reports: UsageReports) -> float:
        ledger.count(ended("ann", chat()), 12.0)
        return (await reports.tokens_by_key(DAY))["ann"]

    assert [kept(tmp_path, once), kept(tmp_path, once)] == [9, 18]
    # A day later it is still told; it goes after 90 days.
    assert kept(tmp_path, once, NOW + 86_400) == 27
    assert kept(tmp_path, once, NOW + 90.5 * 86_400) == 18


def test_a_server_that_keeps_nothing_says_so() -> None:
    async def run() -> None:
        store = Database(None, (USAGE,), 1 << 24)
        reports = UsageReports(Ledger(store), store)
        with pytest.raises(Unavailable):
            await reports.rows(Question(0, 1, ("day",)))

    asyncio.run(run())


def test_a_table_has_heads_and_a_line_for_each_row() -> None:
    row = {"day": "2024-10-04", "requests": 3, "failed": 1, "prompt_tokens": 14}
    row |= {"cached_tokens": 6, "completion_tokens": 4, "audio_s": 0.0, "texts": 0, "work_s": 4.0}
    assert as_csv([row], ["day"]) == (
        "day,requests,failed,prompt_tokens,cached_tokens,completion_tokens,audio_s,texts,work_s\n"
        "2024-10-04,3,1,14,6,4,0.0,0,4.0\n"
    )
