"""Several servers as one, some of which are wrong: on sockets of this machine, as far as HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from ipc.engine_options import RemoteOptions
from ipc.messages.errors import InternalError, ServeError
from ipc.messages.events import ChatResult, Result
from ipc.messages.jobs import ChatInput, Job, Message, Sampling
from ipc.messages.spec import Spec
from worker.engines.upstream.client import Upstream
from worker.engines.upstream.several import servers as several
from worker.engines.upstream.several.meeting import met
from worker.engines.upstream.several.servers import Servers, eta_of

SPEC = Spec(name="m", task="chat", engine="remote", path="")
MODELS = json.dumps({"data": [{"id": "m", "owned_by": "vllm"}]})
WORDS = (
    'data: {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}\n\n'
    'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}\n\n'
    "data: [DONE]\n\n"
)
HTML = (500, "<html>oops</html>")
NO_KEY = (401, '{"error": {"message": "no such key"}}')
OTHER = (404, '{"error": {"message": "no such model"}}')
DEADLINE_S = 20.0

Answer = tuple[int, str]


class Far:
    """A server whose answers can be set, by path; counts what it is asked for."""

    def __init__(self, **answers: Answer) -> None:
        self.answers: dict[str, Answer] = {
            "models": (200, MODELS),
            "completions": (200, WORDS),
            "health": (404, ""),
        } | answers
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                path = head.split()[1].rpartition("/")[2]
                self.asked.append(path)
                status, body = self.answers.get(path, (404, ""))
                fields = f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(f"HTTP/1.1 {status} X\r\n{fields}{body}".encode())
                await writer.drain()
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def served(*far: Far) -> AsyncIterator[Servers]:
    async with contextlib.AsyncExitStack() as stack:
        upstreams = []
        for one in far:
            server = await asyncio.start_server(one.serve, "127.0.0.1")
            stack.push_async_callback(_closed, server)
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            upstreams.append(Upstream(SPEC, RemoteOptions(base_url=url), url))
        servers = Servers(upstreams, lambda one: met(one, SPEC, "m"))
        try:
            yield servers
        finally:
            await servers.close()


async def _closed(server: asyncio.Server) -> None:
    server.close()


async def answer(servers: Servers, written: dict[int, list[int]] | None = None) -> Result:
    asked = ChatInput(messages=[Message("user", "Hello")], sampling=Sampling(max_tokens=8))
    deadline_at = time.monotonic() + DEADLINE_S
    job = Job(id="j", model="m", input=asked, deadline_at=deadline_at, written=written or {})
    return await servers.answer(job, lambda _pieces: None)


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not what():  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.01)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(several, "BUSY_S", 0.02)
    monkeypatch.setattr(several, "IDLE_S", 0.05)
    monkeypatch.setattr(several, "AGAIN_S", 0.02)


@pytest.mark.parametrize("wrong", [HTML, NO_KEY], ids=["a page", "no key"])
def test_one_that_is_wrong_at_the_start_is_left_out_until_it_is_mended(wrong: Answer) -> None:
    async def history() -> None:
        good, bad = Far(), Far(models=wrong, completions=wrong)
        async with served(bad, good) as servers:
            await servers.open()
            for _ in range(4):
                assert isinstance(await answer(servers), ChatResult)
            assert "completions" not in bad.asked
            bad.answers |= Far().answers
            await until(lambda: len(servers.loaded) == 2)
            for _ in range(2):
                await answer(servers)
            assert "completions" in bad.asked

    run(history())


@pytest.mark.parametrize("wrong", [HTML, NO_KEY, OTHER], ids=["a page", "no key", "no model"])
def test_one_that_becomes_wrong_costs_no_answer(wrong: Answer) -> None:
    async def history() -> None:
        good, bad = Far(), Far()
        async with served(bad, good) as servers:
            await servers.open()
            bad.answers |= {"completions": wrong, "models": wrong}
            for _ in range(6):
                assert isinstance(await answer(servers), ChatResult)
            assert "completions" in bad.asked

    run(history())


def test_what_two_fail_at_is_sent_to_no_third() -> None:
    async def history() -> None:
        far = [Far(completions=HTML) for _ in range(3)]
        async with served(*far) as servers:
            await servers.open()
            with pytest.raises(InternalError):
                await answer(servers)
        assert sum(one.asked.count("completions") for one in far) == 2

    run(history())


def test_where_all_are_wrong_the_load_fails_with_the_reason() -> None:
    async def history() -> None:
        async with served(Far(models=NO_KEY), Far(models=NO_KEY)) as servers:
            with pytest.raises(ServeError, match="api_key_env"):
                await servers.open()

    run(history())


@pytest.mark.parametrize("health", ["[" * 100_000, "\xff", '{"models": 7}', "null"])
def test_reports_of_health_that_make_no_sense_say_nothing(health: str) -> None:
    async def history() -> None:
        strange = Far(health=(200, health))
        async with served(strange, Far()) as servers:
            await servers.open()
            await until(lambda: strange.asked.count("health") >= 3)
            for _ in range(2):
                assert isinstance(await answer(servers), ChatResult)

    run(history())


@pytest.mark.parametrize("said", [-5, True, "1", 10**400, float("nan"), float("inf"), [1]])
def test_beginnings_that_cannot_be_are_not_believed(said: object) -> None:
    health = {"models": [{"name": "m", "queue": {"eta_s": said}}]}
    assert eta_of(health, "m") is None


# --- an answer that another server has begun ---

OURS = json.dumps({"data": [{"id": "m", "capabilities": ["chat-completion", "migration"]}]})
FULL = (429, '{"error": {"code": "rate_limit_exceeded", "message": "full"}}')


def ours(tokens: str = "[1, 2]", **answers: Answer) -> Far:
    """An edge-serve that makes these tokens of a text."""
    told = {"models": (200, OURS), "tokenize": (200, f'{{"tokens": {tokens}}}')}
    return Far(**told | answers)


def test_it_goes_on_in_another_with_the_same_vocabulary() -> None:
    async def history() -> None:
        async with served(ours(), ours()) as servers:
            await servers.open()
            assert all(each.goes_on for each in servers.loaded)
            assert isinstance(await answer(servers, {0: [1]}), ChatResult)

    run(history())


@pytest.mark.parametrize("other", [Far(), ours("[1, 3]"), ours(tokenize=HTML)])
def test_it_does_not_where_they_are_not_of_one_kind(other: Far) -> None:
    async def history() -> None:
        async with served(ours(), other) as servers:
            await servers.open()
            assert isinstance(await answer(servers), ChatResult)
            with pytest.raises(ServeError) as refused:
                await answer(servers, {0: [1]})
            assert refused.value.code == "worker_crashed"

    run(history())


def test_it_waits_for_one_that_has_no_room() -> None:
    async def history() -> None:
        one = ours(completions=FULL)
        async with served(one) as servers:
            await servers.open()
            going = asyncio.create_task(answer(servers, {0: [1]}))
            await until(lambda: one.asked.count("completions") >= 3)
            one.answers |= ours().answers
            assert isinstance(await going, ChatResult)

    run(history())
