"""What `remote` makes of servers that leave things out, refuse, or break off."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import numpy as np
import psutil
import pytest

from ipc.facts.samples import tone_wav
from ipc.messages.errors import (
    InternalError,
    InvalidRequest,
    QueueFull,
    ServeError,
    Unavailable,
    UnsupportedParameter,
    WorkerCrashed,
)
from ipc.messages.events import CallArguments, CallOpened, ChatResult, EmbedResult, SpeechResult
from ipc.messages.jobs import ChatInput, Fill, Job, Message, Sampling, Task, Text, Tool
from ipc.messages.spec import Spec
from tests.contract.driver import Driver, chat, embed, job, speech
from tests.ports import free_port
from worker.engine import LoadError
from worker.engines.upstream.remote import Remote

SERVER = Path(__file__).parents[1] / "openai_server.py"
KEY = "sk-secret"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    yield from served()


def served(owner: str = "") -> Iterator[str]:
    port = free_port()
    argv = [sys.executable, str(SERVER), "--port", str(port), "--key", KEY, "--owner", owner]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def remote(address: str, task: Task, *, tools: bool = True) -> Remote:
    options: dict[str, str | int | float | bool] = {
        "base_url": address,
        "api_key_env": "UPSTREAM_KEY",
    }
    engine = Remote()
    spec = Spec(name="x", task=task, engine="remote", path="", options=options, load_stall_s=20)
    loaded = engine.load(spec, lambda _: None)
    # The server has one model; so it is meant, though it is called differently here.
    assert loaded.detail.startswith("told at 127.0.0.1:")
    assert loaded.context_tokens == 99
    assert loaded.tools is (tools and task == "chat")
    return engine


@pytest.fixture
def driver(
    address: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Driver]:
    monkeypatch.setenv("UPSTREAM_KEY", KEY)
    engine = remote(address, getattr(request, "param", "chat"))
    yield Driver(engine)
    engine.close()


def test_an_answer_that_is_cut_off_is_no_answer(driver: Driver) -> None:
    one = chat("/cut 2 one two three")
    assert isinstance(driver.refused(one), WorkerCrashed)
    assert driver.text(one) == " one two"


def test_a_dropped_job_leaves_no_connection_open(
    upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.engines.upstream.client.KEEPALIVE_S", 0.01)
    options: dict[str, str | int | float | bool] = {"base_url": upstream}
    spec = Spec(name="chat", task="chat", engine="remote", path="", slots=4, options=options)
    engine = Remote()
    engine.load(spec, lambda _: None)
    driver = Driver(engine)
    before = connections(upstream)
    gc.disable()  # it would close what is lost
    try:
        for wait_ms in range(5):
            driver.run(chat("one"), chat("two"), chat("three"))
            time.sleep(0.02)  # now the next job has three connections to close
            dropped = chat("four")
            driver.admit(dropped)
            time.sleep(wait_ms / 1000)  # so that it is dropped at one moment or another
            engine.drop(dropped.id)
        engine.close()
        assert connections(upstream) <= before
    finally:
        gc.enable()


def connections(address: str) -> int:
    """How many sockets this process has there."""
    port = httpx2.URL(address).port
    mine = psutil.Process().net_connections()
    return sum(bool(each.raddr) and each.raddr.port == port for each in mine)


def test_without_usage_the_pieces_are_counted(driver: Driver) -> None:
    one = chat("/uncounted one two three")
    driver.run(one)
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (0, 3)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (422, InvalidRequest),
        (404, InternalError),
        (307, InternalError),
        (429, QueueFull),
        (500, InternalError),
        (503, Unavailable),
    ],
)
def test_a_refusal_is_the_clients_only_where_it_can_mend_it(
    driver: Driver, status: int, kind: type[ServeError]
) -> None:
    error = driver.refused(chat(f"/status {status} too long by half"))
    assert type(error) is kind
    if status in (404, 307):
        assert "options.base_url" in error.message
    else:
        assert error.message == "too long by half"
    if kind in (QueueFull, Unavailable):
        assert error.retry_after_s == 7


def test_an_answer_that_is_none_is_an_error(driver: Driver) -> None:
    assert isinstance(driver.refused(chat("/garbage")), InternalError)


def test_an_answer_that_is_no_stream_will_do(driver: Driver) -> None:
    one = chat("/whole one two")
    driver.run(one)
    assert driver.text(one) == "one two"


@pytest.mark.parametrize("manner", ["/rude", "/lingering"])
def test_a_whole_answer_arrives_however_the_connection_ends(
    driver: Driver, manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.engines.upstream.client.COUNTS_S", 0.1)
    one = chat(f"{manner} one two")
    driver.run(one)
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    assert (driver.text(one), result.finish, result.usage.completion_tokens) == (
        " one two",
        "stop",
        2,
    )


def test_an_id_may_be_used_again_after_a_drop(driver: Driver) -> None:
    first = chat("/slow 20 " + "old " * 50)
    driver.admit(first)
    driver.until(lambda: bool(driver.deltas(first)))
    driver.engine.drop(first.id)
    seen = len(driver.of(first))
    driver.admit(msgspec.structs.replace(chat("new new"), id=first.id))
    driver.finish(first)
    assert "old" not in "".join(delta.text for delta in driver.deltas(first)[seen:])


def test_a_call_comes_through(driver: Driver) -> None:
    one = asked(messages=[Message("user", '/call f {"x": 1}')], tools=[Tool(name="f")])
    driver.run(one)
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    assert result.finish == "tool_calls"
    opened, *arguments = driver.of(one)[:-1]
    assert opened == CallOpened(one.id, 0, "c1", "f")
    assert [piece.text for piece in arguments if isinstance(piece, CallArguments)] == [
        '{"x"',
        ": 1}",
    ]


def test_prompts_have_a_path_of_their_own(driver: Driver) -> None:
    one = asked(prompts=[Text("a"), Text("b")])
    driver.run(one)
    assert [(piece.choice, piece.text) for piece in driver.deltas(one)] == [(0, "a"), (1, "b")]
    result = driver.result(one)
    assert isinstance(result, ChatResult)
    assert (result.finish, result.others) == ("stop", ["stop"])


def test_llama_cpp_fills_gaps_outside_v1_and_says_whether_it_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UPSTREAM_KEY", KEY)
    for address in served("llamacpp"):
        driver = Driver(remote(address, "chat", tools=False))
        one = asked(prompts=[Fill(prefix="a", suffix="c")])
        driver.run(one)
        assert driver.text(one) == "a|c"
        refused = driver.refused(
            asked(prompts=[Text("a")], sampling=Sampling(max_tokens=9, min_tokens=1))
        )
        assert isinstance(refused, UnsupportedParameter)
        assert refused.param == "min_tokens"
        driver.engine.close()


def asked(**said: Any) -> Job:
    return job(ChatInput(**{"sampling": Sampling(max_tokens=9), **said}))


@pytest.mark.parametrize("driver", ["embed"], indirect=True)
def test_vectors_may_come_as_numbers_and_in_any_order(driver: Driver) -> None:
    one = embed("a", "bbb")
    driver.run(one)
    result = driver.result(one)
    assert isinstance(result, EmbedResult)
    assert np.frombuffer(result.vectors.data, "<f4").tolist() == [1.0, 1.0, 3.0, 1.0]


@pytest.mark.parametrize("driver", ["speech"], indirect=True)
def test_a_brief_transcript_will_do(driver: Driver) -> None:
    one = speech(tone_wav(0.1), language="de")
    driver.run(one)
    result = driver.result(one)
    assert isinstance(result, SpeechResult)
    assert (result.text, result.language, result.duration_s) == ("heard", "de", 2.0)
    (segment,) = result.segments
    assert (segment.start, segment.end, segment.text) == (0.0, 2.0, "heard")
    assert isinstance(driver.refused(speech(tone_wav(0.1), word_times=True)), UnsupportedParameter)


def test_a_wrong_key_is_not_retried_and_not_shown(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_KEY", "sk-wrong")
    with pytest.raises(LoadError, match="api_key_env") as refused:
        remote(address, "chat")
    assert refused.value.permanent
    assert "sk-wrong" not in refused.value.reason
    monkeypatch.delenv("UPSTREAM_KEY")
    with pytest.raises(LoadError, match="UPSTREAM_KEY, which is not set"):
        remote(address, "chat")
